"""One request to an agent over HTTP, whose response is read while it is written."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

import httpx
import orjson
import structlog

from app import __version__
from app.agents.base import ResponseObserver
from app.agents.json_response import (
    MAX_REASON_CHARS,
    NO_REASON,
    failure_reason,
    parse,
    whole_characters,
)
from app.agents.response_body import ResponseBody
from app.agents.response_parser import ResponseParser
from app.agents.response_timeouts import ResponseTimeouts
from app.agents.retry import RetryPolicy, was_run
from app.errors import (
    AgentError,
    AgentFailedError,
    AgentNotReadyError,
    AgentRefusedError,
    AgentTimeoutError,
    AgentUnreachableError,
)
from app.net.client import body_start
from app.net.failures import NOT_CONNECTED
from app.net.request import NO_HEADERS, RequestTemplate
from app.net.response import content_encoding
from app.net.url import at_host, host_of, web_url
from app.telemetry.request_ids import request_id_in
from app.text.speakable import is_speakable
from app.timeouts import stall_tolerant_timeout

log = structlog.get_logger(__name__)

USER_AGENT = f"Nabra/{__version__}"
STARTING_PAGE = b"n8n is starting up"
"""How the page begins that n8n answers every request with while it starts or migrates, as a 200."""

_END_LINGER_S = 0.25  # the last bytes follow at once, and let the connection serve again
_SLICE_BYTES = 4096  # parsed in one step of the loop; empty lines take 8 ms
_REFUSAL_BODY_BYTES = 4096
_REFUSAL_BODY_TIMEOUT_S = 2.0


class HttpAgentStream:
    """Post requests to `url`, and limit how long to wait for the response.

    `headers` may hold a token and are never logged. Timeouts are seconds of waiting: for the first
    text, counted from the request; for the next text; for the whole response. After an error, or
    the model's finish reason, the end of the body is awaited for `error_linger_s` only, as n8n may
    never send it. `retry_s` is how long a request waits for an agent that is not there, or is
    starting. `client` is not closed here.
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
        retry_s: float = 0.0,
    ) -> None:
        self._client = client
        fields = httpx.Headers(
            {"Content-Type": "application/json", "User-Agent": USER_AGENT, **(headers or {})}
        )
        self._template = RequestTemplate("POST", web_url(url), fields)
        self._host = host_of(url)
        self._first_token_timeout_s = first_token_timeout_s
        self._between_tokens_timeout_s = between_tokens_timeout_s
        self._total_timeout_s = total_timeout_s
        self._error_linger_s = error_linger_s
        self._retry_s = retry_s
        self._has_worked = False

    async def stream(
        self,
        payload: Mapping[str, object],
        parser: ResponseParser,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        observer: ResponseObserver | None = None,
    ) -> AsyncGenerator[str, None]:
        """Post `payload` as JSON, and iterate over the text that `parser` finds in the response.

        `headers` are those of this request alone.
        Raises an `AgentError` where that fails. Close the iterator, or the connection stays open.
        """
        observer = observer or ResponseObserver()
        timeouts = ResponseTimeouts(
            first_token_timeout_s=self._first_token_timeout_s,
            between_tokens_timeout_s=self._between_tokens_timeout_s,
            total_timeout_s=self._total_timeout_s,
        )
        with at_host(self._host):
            body = await self._request(payload, headers, timeouts, observer)
            try:
                while not parser.failed and (data := await body.read()):
                    for start in range(0, len(data), _SLICE_BYTES):
                        if start:
                            await asyncio.sleep(0)  # thousands of lines may have come at once
                        for piece in self._parse(
                            data[start : start + _SLICE_BYTES], parser, timeouts
                        ):
                            yield piece
            except AgentError:
                for piece in parser.finish():
                    yield piece
                raise
            finally:
                await body.aclose()
            for piece in parser.finish():
                yield piece
            _report_nodes(parser, observer)
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

    async def _request(
        self,
        payload: Mapping[str, object],
        headers: Mapping[str, str],
        timeouts: ResponseTimeouts,
        observer: ResponseObserver,
    ) -> ResponseBody:
        """Send the request until an agent takes it, and return the body of its response."""
        policy = RetryPolicy(self._retry_s, has_worked=self._has_worked)
        content, loop = orjson.dumps(payload), asyncio.get_running_loop()
        began_at = loop.time()
        while True:
            try:
                return await self._open_body(content, headers, timeouts, observer)
            except (AgentNotReadyError, AgentRefusedError) as error:
                if not was_run(error):
                    observer.on_refused()
                pause_s = policy.pause_s(error, loop.time() - began_at)
                if pause_s is None or pause_s >= timeouts.left_s:
                    raise
                log.debug("agent is not ready", reason=str(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            timeouts.spend(pause_s)

    async def _open_body(
        self,
        content: bytes,
        headers: Mapping[str, str],
        timeouts: ResponseTimeouts,
        observer: ResponseObserver,
    ) -> ResponseBody:
        """Send the request; return the body of a response that is the agent's own."""
        response = await self._open(content, headers, timeouts, observer)
        body = ResponseBody(response, timeouts)
        try:
            if _may_be_page(response) and await body.starts_with(STARTING_PAGE):
                raise AgentNotReadyError("n8n is starting up; it says so to every request")
        except BaseException:
            await body.aclose()
            raise
        self._has_worked = True
        observer.on_accepted()
        return body

    async def _open(
        self,
        content: bytes,
        headers: Mapping[str, str],
        timeouts: ResponseTimeouts,
        observer: ResponseObserver,
    ) -> httpx.Response:
        """Send the request, and return the response once its status is a good one."""
        request = self._template.build(content, headers)
        started_s = asyncio.get_running_loop().time()
        try:
            async with stall_tolerant_timeout(timeouts.left_s):
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise AgentTimeoutError(timeouts.reason()) from error
        except httpx.ProxyError as error:
            raise AgentUnreachableError(f"cannot connect to the agent: {error}") from error
        except NOT_CONNECTED as error:
            raise AgentNotReadyError(f"cannot connect to the agent: {error}") from error
        except httpx.TransportError as error:
            raise AgentUnreachableError(f"no HTTP response: {error}") from error
        finally:
            timeouts.spend(asyncio.get_running_loop().time() - started_s)
        observer.on_status(response.status_code)
        if (encoding := content_encoding(response)) is not None:
            await response.aclose()
            raise AgentFailedError(f"agent sent Content-Encoding: {encoding}; none is accepted")
        if not response.is_success:
            await _raise_refused(response)
        return response


def _report_nodes(parser: ResponseParser, observer: ResponseObserver) -> None:
    """Tell what nodes sent, and warn of text that nobody hears, unless nodes were chosen."""
    nodes = parser.node_texts
    observer.on_nodes(nodes)
    if unspoken := {node.node: node.chars for node in nodes if not node.is_spoken}:
        write = log.debug if parser.chooses_nodes else log.warning
        write("nodes not spoken", chars=unspoken, advice="name those to speak in AGENT_NODE")


def _may_be_page(response: httpx.Response) -> bool:
    """Return whether the body may be n8n's starting page; answers in text may be HTML, too."""
    content_type: str = response.headers.get("Content-Type", "")
    return content_type.startswith("text/html") or not content_type


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
