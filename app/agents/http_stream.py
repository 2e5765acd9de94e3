"""An answer over HTTP, read while it is written."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress

import orjson
import structlog

from app.agents.json_response import failure_in, parse, whole_characters
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

_DONE_LINGER_S = 0.25  # the last bytes follow at once, and let the connection serve again
_REFUSAL_BODY_BYTES = 4096
_REFUSAL_BODY_TIMEOUT_S = 2.0
_MAX_REASON_CHARS = 200


class HttpAgentStream:
    """Posts questions, and knows how long to wait for what comes back.

    `headers` may hold a token and are never logged. All timeouts are in seconds of waiting: for
    the first word, counted from the request; for the next one; for the whole answer. After an
    error, or the model's last word, the body's end is awaited for `error_linger_s` only, for n8n
    may never send it. `client` leads to the agent, and is not closed here.
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

    async def ask(
        self, question: Mapping[str, object], parser: ResponseParser
    ) -> AsyncGenerator[str, None]:
        """Post `question` as JSON, and iterate over what `parser` makes of the answer.

        Raises an `AgentError` where the answer fails. Close it, or the connection stays open.
        """
        patience = ResponseTimeouts(
            first_token_timeout_s=self._first_token_timeout_s,
            between_tokens_timeout_s=self._between_tokens_timeout_s,
            total_timeout_s=self._total_timeout_s,
        )
        response = await self._open(question, patience)
        watchdog = ReusableTimeout()
        try:
            while not parser.broken and (data := await _chunk(response, patience, watchdog)):
                for piece in self._read(data, parser, patience):
                    yield piece
        finally:
            watchdog.close()
            response.close()
        for piece in parser.finish():
            yield piece
        if (fault := parser.verdict()) is not None:
            raise fault
        if parser.error_seen is not None:
            log.warning("agent_error_after_answer", reason=parser.error_seen)

    def _read(self, data: bytes, parser: ResponseParser, patience: ResponseTimeouts) -> list[str]:
        progress = parser.progress
        pieces = parser.feed(data)
        if pieces:
            patience.spoke()
        elif parser.progress > progress:
            patience.worked()
        if parser.ending and not patience.lingering:
            patience.linger(_DONE_LINGER_S if parser.done else self._error_linger_s)
        return pieces

    async def _open(
        self, question: Mapping[str, object], patience: ResponseTimeouts
    ) -> Http1Response:
        """Send the request, and return the response once its status says that it is an answer."""
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(patience.left_s):
                response = await self._client.post(orjson.dumps(question), self._headers)
        except TimeoutError as error:
            raise AgentTimeoutError(patience.complaint()) from error
        except NotConnectedError as error:
            raise AgentUnreachableError(f"no connection to the agent: {error}") from error
        except BrokenOffError as error:
            raise AgentUnreachableError(f"no answer: {error}") from error
        finally:
            patience.spend(asyncio.get_running_loop().time() - started_s)
        if not 200 <= response.status < 300:
            await _refuse(response)
        return response


async def _chunk(
    response: Http1Response, patience: ResponseTimeouts, watchdog: ReusableTimeout
) -> bytes:
    """Return the next bytes of the body; none at its end, or when enough was waited for it."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        return await watchdog.wait_for(response.read(), patience.left_s)
    except TimeoutError as error:
        if patience.lingering:
            return b""
        raise AgentTimeoutError(patience.complaint()) from error
    except BrokenOffError as error:
        if patience.lingering:
            return b""
        raise AgentCutError(f"the answer broke off: {error}") from error
    finally:
        patience.spend(loop.time() - started_s)


async def _refuse(response: Http1Response) -> None:
    """Close the response, and raise `AgentRefusedError` with what its body says."""
    body = bytearray()
    try:
        # A body that breaks off or never ends has said what it will.
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
    text = message if isinstance(message, str) else failure_in(value)
    text = body.decode(errors="replace") if text is None else text
    return whole_characters(" ".join(text.split())[:_MAX_REASON_CHARS]) or "no reason given"
