"""One request to an agent over HTTP, whose response is read while it is written."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

import httpx
import orjson
import structlog

from app.agents.json_response import (
    MAX_REASON_CHARS,
    NO_REASON,
    failure_reason,
    parse,
    whole_characters,
)
from app.agents.response_parser import ResponseParser
from app.agents.response_timeouts import ResponseTimeouts
from app.errors import (
    AgentCutError,
    AgentFailedError,
    AgentRefusedError,
    AgentTimeoutError,
    AgentUnreachableError,
)
from app.net.client import body_start, raw_chunks
from app.net.failures import NOT_CONNECTED
from app.net.request import NO_HEADERS, RequestTemplate
from app.net.response import content_encoding
from app.net.url import at_host, host_of, web_url
from app.telemetry.request_ids import request_id_in
from app.text.speakable import is_speakable
from app.timeouts import ReusableTimeout, stall_tolerant_timeout

log = structlog.get_logger(__name__)

_END_LINGER_S = 0.25  # the last bytes follow at once, and let the connection serve again
_SLICE_BYTES = 4096  # parsed in one step of the loop; empty lines take 8 ms
_REFUSAL_BODY_BYTES = 4096
_REFUSAL_BODY_TIMEOUT_S = 2.0


class HttpAgentStream:
    """Post requests to `url`, and limit how long to wait for the response.

    `headers` may hold a token and are never logged. Timeouts are seconds of waiting: for the first
    text, counted from the request; for the next text; for the whole response. After an error, or
    the model's finish reason, the end of the body is awaited for `error_linger_s` only, as n8n may
    never send it. `client` is not closed here.
    """

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        url: str,
        headers: Mapping[str, str] | None = None,
        first_token_timeout_s: float,
        between_tokens_timeout_s: float,
        total_timeout_s: float,
        error_linger_s: float = 1.0,
    ) -> None:
        self._client = client
        fields = httpx.Headers({"Content-Type": "application/json", **(headers or {})})
        self._template = RequestTemplate("POST", web_url(url), fields)
        self._host = host_of(url)
        self._first_token_timeout_s = first_token_timeout_s
        self._between_tokens_timeout_s = between_tokens_timeout_s
        self._total_timeout_s = total_timeout_s
        self._error_linger_s = error_linger_s

    async def stream(
        self,
        payload: Mapping[str, object],
        parser: ResponseParser,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> AsyncGenerator[str, None]:
        """Post `payload` as JSON, and iterate over the text that `parser` finds in the response.

        `headers` are those of this request alone.
        Raises an `AgentError` where that fails. Close the iterator, or the connection stays open.
        """
        timeouts = ResponseTimeouts(
            first_token_timeout_s=self._first_token_timeout_s,
            between_tokens_timeout_s=self._between_tokens_timeout_s,
            total_timeout_s=self._total_timeout_s,
        )
        with at_host(self._host):
            response = await self._open(payload, headers, timeouts)
            chunks, read_timeout = raw_chunks(response), ReusableTimeout()
            try:
                while not parser.failed and (data := await _read(chunks, timeouts, read_timeout)):
                    for start in range(0, len(data), _SLICE_BYTES):
                        if start:
                            await asyncio.sleep(0)  # thousands of lines may have come at once
                        for piece in self._parse(
                            data[start : start + _SLICE_BYTES], parser, timeouts
                        ):
                            yield piece
            finally:
                read_timeout.close()
                await chunks.aclose()
                await response.aclose()
            for piece in parser.finish():
                yield piece
            if (error := parser.final_error()) is not None:
                raise error
            if parser.n8n_error_reason is not None:
                log.warning("agent_error_after_response", reason=parser.n8n_error_reason)

    def _parse(self, data: bytes, parser: ResponseParser, timeouts: ResponseTimeouts) -> list[str]:
        progress = parser.progress
        pieces = parser.feed(data)
        if any(map(is_speakable, pieces)):
            timeouts.on_text()
        elif not pieces and parser.progress > progress:
            timeouts.on_progress()
        if parser.awaiting_end and not timeouts.lingering:
            timeouts.start_linger(_END_LINGER_S if parser.done else self._error_linger_s)
        return pieces

    async def _open(
        self,
        payload: Mapping[str, object],
        headers: Mapping[str, str],
        timeouts: ResponseTimeouts,
    ) -> httpx.Response:
        """Send the request, and return the response once its status is a good one."""
        request = self._template.build(orjson.dumps(payload), headers)
        started_s = asyncio.get_running_loop().time()
        try:
            async with stall_tolerant_timeout(timeouts.left_s):
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise AgentTimeoutError(timeouts.reason()) from error
        except NOT_CONNECTED as error:
            raise AgentUnreachableError(f"cannot connect to the agent: {error}") from error
        except httpx.TransportError as error:
            raise AgentUnreachableError(f"no HTTP response: {error}") from error
        finally:
            timeouts.spend(asyncio.get_running_loop().time() - started_s)
        if (encoding := content_encoding(response)) is not None:
            await response.aclose()
            raise AgentFailedError(f"agent sent Content-Encoding: {encoding}; none is accepted")
        if not response.is_success:
            await _raise_refused(response)
        return response


async def _read(
    chunks: AsyncGenerator[bytes, None], timeouts: ResponseTimeouts, read_timeout: ReusableTimeout
) -> bytes:
    """Return the next bytes of the body; none at its end, or when lingering is over."""
    try:
        return await read_timeout.wait_for(anext(chunks, b""), timeouts.left_s)
    except TimeoutError as error:
        if timeouts.lingering:
            return b""
        raise AgentTimeoutError(timeouts.reason()) from error
    except httpx.TransportError as error:
        if timeouts.lingering:
            return b""
        raise AgentCutError(f"connection lost within the response: {error}") from error
    finally:
        timeouts.spend(read_timeout.waited_s)


async def _raise_refused(response: httpx.Response) -> None:
    """Close the response, and raise `AgentRefusedError` with what its body says."""
    try:
        body = await body_start(
            response, max_bytes=_REFUSAL_BODY_BYTES, timeout_s=_REFUSAL_BODY_TIMEOUT_S
        )
    finally:
        await response.aclose()
    reason = _reason(body)
    error = AgentRefusedError(f"HTTP {response.status_code}: {reason}", response.status_code)
    error.request_id = request_id_in(response.headers)
    raise error


def _reason(body: bytes) -> str:
    """Return the message of a refusal, and n8n's hint what to do about it."""
    value = parse(body)
    fields = value if isinstance(value, dict) else {}
    message, hint = fields.get("message"), fields.get("hint")
    text = message if isinstance(message, str) else failure_reason(value)
    parts = [body.decode(errors="replace") if text is None else text]
    parts += [hint] if isinstance(hint, str) else []
    return " ".join(filter(None, map(_shortened, parts))) or NO_REASON


def _shortened(text: str) -> str:
    return whole_characters(" ".join(text.split())[:MAX_REASON_CHARS])
