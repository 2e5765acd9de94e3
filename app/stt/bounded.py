"""A transcriber of a plug-in within all limits: it is a stranger, and need not bound anything."""

import asyncio

import structlog

from app.errors import ProtocolError, ProviderError, ProviderTimeoutError, StrategyFailedError
from app.stt.base import Transcriber, Utterance
from app.timeouts import stall_tolerant_timeout

log = structlog.get_logger(__name__)

MAX_TRANSCRIPT_CHARS = 100_000
"""Longest transcript; two minutes of speech have 2,000 characters."""


class BoundedTranscriber(Transcriber):
    """Waits for a transcript for `timeout_s` seconds at most.

    Whatever the transcriber raises is a `ProviderError` outside, so that another one is tried.
    """

    def __init__(self, transcriber: Transcriber, *, timeout_s: float) -> None:
        self.name, self.provider = transcriber.name, transcriber.provider
        self._transcriber = transcriber
        self._timeout_s = timeout_s
        self._is_traceback_logged = False

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when the utterance holds no words."""
        try:
            async with stall_tolerant_timeout(self._timeout_s):
                text = await self._transcriber.transcribe(utterance)
        except TimeoutError:
            raise ProviderTimeoutError(f"no transcript within {self._timeout_s} s") from None
        except ProviderError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise
            raise self._as_failure(error) from None
        if not isinstance(text, str) or len(text) > MAX_TRANSCRIPT_CHARS:
            raise ProtocolError(f"transcriber {self.name!r} returned no usable text")
        return text.strip()

    async def warm_up(self) -> None:
        """Open the connection that the first request would otherwise wait for."""
        try:
            await self._transcriber.warm_up()
        except Exception as error:  # noqa: BLE001 - left for the request that needs the connection
            self._as_failure(error)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transcriber.aclose()

    def _as_failure(self, error: BaseException) -> StrategyFailedError:
        """Log what no transcriber should raise, the first time with its traceback."""
        log.error(
            "transcriber failed",
            transcriber=self.name,
            error=type(error).__name__,
            exc_info=None if self._is_traceback_logged else error,
        )
        self._is_traceback_logged = True
        return StrategyFailedError(f"transcriber {self.name!r} raised {type(error).__name__}")
