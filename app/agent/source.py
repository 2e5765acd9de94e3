"""The agent's response over HTTP, read while it is written."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress

import httpx
import orjson
import structlog

from app.agent.answer import AnswerParser
from app.agent.document import failure_in, parse, whole_characters
from app.agent.patience import Patience
from app.errors import (
    AgentCutError,
    AgentRefusedError,
    AgentTimeoutError,
    AgentUnreachableError,
)
from app.net.client import raw_chunks
from app.net.failures import NOT_CONNECTED
from app.net.request import RequestTemplate
from app.net.url import web_url
from app.watchdog import Watchdog

log = structlog.get_logger(__name__)

_DONE_LINGER_S = 0.25  # the last bytes follow at once, and let the connection serve again
_REFUSAL_BODY_BYTES = 4096
_REFUSAL_BODY_TIMEOUT_S = 2.0
_MAX_REASON_CHARS = 200


class AnswerSource:
    """Posts questions to `url`, and knows how long to wait for the response.

    `headers` may hold a token and are never logged. All timeouts are in seconds of waiting: for
    the first word, counted from the request; for the next one; for the whole response. After an
    error, or the model's last word, the body's end is awaited for `error_linger_s` only, for n8n
    may never send it. `client` is not closed here.
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
        self._first_token_timeout_s = first_token_timeout_s
        self._between_tokens_timeout_s = between_tokens_timeout_s
        self._total_timeout_s = total_timeout_s
        self._error_linger_s = error_linger_s

    async def ask(
        self, question: Mapping[str, object], parser: AnswerParser
    ) -> AsyncGenerator[str, None]:
        """Post `question` as JSON, and iterate over what `parser` makes of the response.

        Raises an `AgentError` where that fails. Close the iterator, or the connection stays open.
        """
        patience = Patience(
            first_token_timeout_s=self._first_token_timeout_s,
            between_tokens_timeout_s=self._between_tokens_timeout_s,
            total_timeout_s=self._total_timeout_s,
        )
        response = await self._open(question, patience)
        chunks, watchdog = raw_chunks(response), Watchdog()
        try:
            while not parser.broken and (data := await _chunk(chunks, patience, watchdog)):
                for piece in self._read(data, parser, patience):
                    yield piece
        finally:
            watchdog.close()
            await chunks.aclose()
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
        """Send the request, and return the response once its status is a good one."""
        request = self._template.build(orjson.dumps(question))
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(patience.left_s):
                response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise AgentTimeoutError(patience.complaint()) from error
        except NOT_CONNECTED as error:
            raise AgentUnreachableError(f"no connection to the agent: {error}") from error
        except httpx.TransportError as error:
            raise AgentUnreachableError(f"no response: {error}") from error
        finally:
            patience.spend(asyncio.get_running_loop().time() - started_s)
        if not response.is_success:
            await _refuse(response)
        return response


async def _chunk(
    chunks: AsyncGenerator[bytes, None], patience: Patience, watchdog: Watchdog
) -> bytes:
    """Return the next bytes of the body; none at its end, or when enough was waited for it."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        return await watchdog.bound(anext(chunks, b""), patience.left_s)
    except TimeoutError as error:
        if patience.lingering:
            return b""
        raise AgentTimeoutError(patience.complaint()) from error
    except httpx.TransportError as error:
        if patience.lingering:
            return b""
        raise AgentCutError(f"the response broke off: {error}") from error
    finally:
        patience.spend(loop.time() - started_s)


async def _refuse(response: httpx.Response) -> None:
    """Close the response, and raise `AgentRefusedError` with what its body says."""
    body = bytearray()
    try:
        # A body that breaks off or never ends has said what it will.
        with suppress(TimeoutError, httpx.TransportError):
            async with asyncio.timeout(_REFUSAL_BODY_TIMEOUT_S):
                async with aclosing(raw_chunks(response)) as chunks:
                    while len(body) < _REFUSAL_BODY_BYTES and (data := await anext(chunks, b"")):
                        body += data
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
