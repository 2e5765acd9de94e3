"""One request to an agent over HTTP, whose response is read while it is written."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress

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
    AgentRefusedError,
    AgentTimeoutError,
    AgentUnreachableError,
)
from app.http1 import BrokenOffError, Http1Client, Http1Response, NotConnectedError
from app.timeouts import ReusableTimeout

log = structlog.get_logger(__name__)

_END_LINGER_S = 0.25  # the last bytes follow at once, and let the connection serve again
_REFUSAL_BODY_BYTES = 4096
_REFUSAL_BODY_TIMEOUT_S = 2.0


class HttpAgentStream:
    """Post requests, and limit how long to wait for the response.

    `headers` may hold a token and are never logged. Timeouts are seconds of waiting: for the first
    text, counted from the request; for the next text; for the whole response. After an error, or
    the model's finish reason, the end of the body is awaited for `error_linger_s` only, as n8n may
    never send it. `client` leads to the agent, and is not closed here.
    """

    def __init__(
        self,
        *,
        client: Http1Client,
        headers: Mapping[str, str] | None = None,
        first_token_timeout_s: float,
        between_tokens_timeout_s: float,
        total_timeout_s: float,
        error_linger_s: float = 1.0,
    ) -> None:
        self._client = client
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._first_token_timeout_s = first_token_timeout_s
        self._between_tokens_timeout_s = between_tokens_timeout_s
        self._total_timeout_s = total_timeout_s
        self._error_linger_s = error_linger_s

    async def stream(
        self, payload: Mapping[str, object], parser: ResponseParser
    ) -> AsyncGenerator[str, None]:
        """Post `payload` as JSON, and iterate over the text that `parser` finds in the response.

        Raises an `AgentError` if the response fails. Close the iterator, or the connection stays
        open.
        """
        timeouts = ResponseTimeouts(
            first_token_timeout_s=self._first_token_timeout_s,
            between_tokens_timeout_s=self._between_tokens_timeout_s,
            total_timeout_s=self._total_timeout_s,
        )
        response = await self._open(payload, timeouts)
        read_timeout = ReusableTimeout()
        try:
            while not parser.failed and (data := await _read(response, timeouts, read_timeout)):
                for piece in self._parse(data, parser, timeouts):
                    yield piece
        finally:
            read_timeout.close()
            response.close()
        for piece in parser.finish():
            yield piece
        if (error := parser.final_error()) is not None:
            raise error
        if parser.n8n_error_reason is not None:
            log.warning("agent_error_after_response", reason=parser.n8n_error_reason)

    def _parse(self, data: bytes, parser: ResponseParser, timeouts: ResponseTimeouts) -> list[str]:
        progress = parser.progress
        pieces = parser.feed(data)
        if pieces:
            timeouts.on_text()
        elif parser.progress > progress:
            timeouts.on_progress()
        if parser.awaiting_end and not timeouts.lingering:
            timeouts.start_linger(_END_LINGER_S if parser.done else self._error_linger_s)
        return pieces

    async def _open(
        self, payload: Mapping[str, object], timeouts: ResponseTimeouts
    ) -> Http1Response:
        """Send the request, and return the response if its status is 2xx."""
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(timeouts.left_s):
                response = await self._client.post(orjson.dumps(payload), self._headers)
        except TimeoutError as error:
            raise AgentTimeoutError(timeouts.reason()) from error
        except NotConnectedError as error:
            raise AgentUnreachableError(f"cannot connect to the agent: {error}") from error
        except BrokenOffError as error:
            raise AgentUnreachableError(f"no HTTP response: {error}") from error
        finally:
            timeouts.spend(asyncio.get_running_loop().time() - started_s)
        if not 200 <= response.status < 300:
            await _raise_refused(response)
        return response


async def _read(
    response: Http1Response, timeouts: ResponseTimeouts, read_timeout: ReusableTimeout
) -> bytes:
    """Return the next bytes of the body; none at its end, or when lingering is over."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        return await read_timeout.bound(response.read(), timeouts.left_s)
    except TimeoutError as error:
        if timeouts.lingering:
            return b""
        raise AgentTimeoutError(timeouts.reason()) from error
    except BrokenOffError as error:
        if timeouts.lingering:
            return b""
        raise AgentCutError(f"connection lost within the response: {error}") from error
    finally:
        timeouts.spend(loop.time() - started_s)


async def _raise_refused(response: Http1Response) -> None:
    """Close the response, and raise `AgentRefusedError` with what its body says."""
    body = bytearray()
    try:
        # What came of a body that ends too early, or never, is enough.
        with suppress(TimeoutError, BrokenOffError):
            async with asyncio.timeout(_REFUSAL_BODY_TIMEOUT_S):
                while len(body) < _REFUSAL_BODY_BYTES and (data := await response.read()):
                    body += data
    finally:
        response.close()
    reason = _reason(bytes(body[:_REFUSAL_BODY_BYTES]))
    raise AgentRefusedError(f"HTTP {response.status}: {reason}", response.status)


def _reason(body: bytes) -> str:
    value = parse(body)
    message = value.get("message") if isinstance(value, dict) else None
    text = message if isinstance(message, str) else failure_reason(value)
    text = body.decode(errors="replace") if text is None else text
    return whole_characters(" ".join(text.split())[:MAX_REASON_CHARS]) or NO_REASON
