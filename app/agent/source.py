"""An answer over HTTP, read while it is written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress

import httpx
import structlog

from app.agent.answer import AnswerParser
from app.agent.client import WholeStream
from app.agent.document import failure_in, parse, whole_characters
from app.agent.patience import Patience
from app.errors import (
    AgentCutError,
    AgentRefusedError,
    AgentTimeoutError,
    AgentUnreachableError,
    ConfigurationError,
)

log = structlog.get_logger(__name__)

_DONE_LINGER_S = 0.25  # the last bytes follow at once, and let the connection serve again
_REFUSAL_BODY_BYTES = 4096
_REFUSAL_BODY_TIMEOUT_S = 2.0
_MAX_REASON_CHARS = 200
# A connection that the server has closed shows so within a round trip. A later loss may be that
# of a run which has begun, and a second run could book twice.
_STALE_WITHIN_S = 1.0


class AnswerSource:
    """Where questions are posted, and how long to wait for what comes back.

    `headers` may hold a token and are never logged. All timeouts are in seconds of waiting: for
    the first word, counted from the request; for the next one; for the whole answer. After an
    error, or the model's last word, the body's end is awaited for `error_linger_s` only, for n8n
    may never send it. `client` is not closed here. Raises `ConfigurationError` for a URL that is
    none.
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
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL:
            raise ConfigurationError("the agent's address is no URL") from None
        self._client = client
        self._headers = dict(headers or {})
        self._first_token_timeout_s = first_token_timeout_s
        self._between_tokens_timeout_s = between_tokens_timeout_s
        self._total_timeout_s = total_timeout_s
        self._error_linger_s = error_linger_s

    async def ask(
        self, question: Mapping[str, object], parser: AnswerParser
    ) -> AsyncGenerator[str, None]:
        """Post `question` as JSON, and iterate over what `parser` makes of the answer.

        Raises an `AgentError` where the answer fails. Close it, or the connection stays open.
        """
        patience = Patience(
            first_token_timeout_s=self._first_token_timeout_s,
            between_tokens_timeout_s=self._between_tokens_timeout_s,
            total_timeout_s=self._total_timeout_s,
        )
        response = await self._open(question, patience)
        try:
            body = response.aiter_bytes()
            while not parser.broken and (data := await _next_chunk(body, patience)) is not None:
                for piece in self._read(data, parser, patience):
                    yield piece
        finally:
            await response.aclose()
        for piece in parser.finish():
            yield piece
        if (fault := parser.verdict()) is not None:
            raise fault
        if parser.error_seen is not None:
            log.warning("agent_error_after_answer", reason=parser.error_seen)

    def _read(self, data: bytes, parser: AnswerParser, patience: Patience) -> list[str]:
        progress = parser.progress
        pieces = parser.feed(data)
        if pieces:
            patience.spoke()
        elif parser.progress > progress:
            patience.worked()
        if parser.ending and not patience.lingering:
            patience.linger(_DONE_LINGER_S if parser.done else self._error_linger_s)
        return pieces

    async def _open(self, question: Mapping[str, object], patience: Patience) -> httpx.Response:
        """Send the request, and return the response once its status says that it is an answer."""
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(patience.left_s):
                response = await self._send(question)
        except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise AgentUnreachableError("no connection to the agent in time") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise AgentTimeoutError(patience.complaint()) from error
        except httpx.HTTPError as error:
            raise AgentUnreachableError(f"no answer: {type(error).__name__}") from error
        finally:
            patience.spend(asyncio.get_running_loop().time() - started_s)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = WholeStream(response.stream)
        if not response.is_success:
            await _refuse(response)
        return response

    async def _send(self, question: Mapping[str, object]) -> httpx.Response:
        """Send, and again when an idle connection turned out to have been closed.

        After a restart of the agent all that are idle may be; each is met once.
        """
        while True:
            watch = _ConnectionWatch()
            try:
                return await self._client.send(self._built(question, watch), stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if not watch.was_stale():
                    raise

    def _built(self, question: Mapping[str, object], watch: "_ConnectionWatch") -> httpx.Request:
        return self._client.build_request(
            "POST",
            self._url,
            json=question,
            headers=self._headers,
            extensions={"trace": watch},
        )


class _ConnectionWatch:
    """Learn from httpcore's trace whether a request went out on a connection used before."""

    def __init__(self) -> None:
        self._fresh = False
        self._answered = False
        self._sent_s: float | None = None

    async def __call__(self, event: str, info: object) -> None:
        if event.startswith("connection.connect"):
            self._fresh = True
        elif event == "http11.send_request_headers.started":
            self._sent_s = asyncio.get_running_loop().time()
        elif event == "http11.receive_response_headers.complete":
            self._answered = True

    def was_stale(self) -> bool:
        """Tell, after a failure, whether the server had closed the connection beforehand."""
        if self._fresh or self._answered or self._sent_s is None:
            return False
        return asyncio.get_running_loop().time() - self._sent_s < _STALE_WITHIN_S


async def _next_chunk(body: AsyncIterator[bytes], patience: Patience) -> bytes | None:
    """Return the next bytes of the body; None at its end, or when enough was waited for it."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        async with asyncio.timeout(patience.left_s):
            return await anext(body, None)
    except TimeoutError as error:
        if patience.lingering:
            return None
        raise AgentTimeoutError(patience.complaint()) from error
    except httpx.HTTPError as error:
        if patience.lingering:
            return None
        raise AgentCutError(f"the answer broke off: {type(error).__name__}") from error
    finally:
        patience.spend(loop.time() - started_s)


async def _refuse(response: httpx.Response) -> None:
    """Close the response, and raise `AgentRefusedError` with what its body says."""
    body = bytearray()
    try:
        # A body that breaks off or never ends has said what it will.
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(_REFUSAL_BODY_TIMEOUT_S):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) >= _REFUSAL_BODY_BYTES:
                        break
    finally:
        await response.aclose()
    reason = _reason(bytes(body[:_REFUSAL_BODY_BYTES]))
    raise AgentRefusedError(f"HTTP {response.status_code}: {reason}", response.status_code)


def _reason(body: bytes) -> str:
    value = parse(body)
    message = value.get("message") if isinstance(value, dict) else None
    text = message if isinstance(message, str) else failure_in(value)
    text = body.decode(errors="replace") if text is None else text
    return whole_characters(" ".join(text.split())[:_MAX_REASON_CHARS]) or "no reason given"
