"""STT by the first transcriber that works."""

import asyncio
from collections.abc import Sequence

import structlog

from app.errors import (
    ACCOUNT_ERRORS,
    ConnectError,
    PoolExhaustedError,
    ProviderError,
    ProviderTimeoutError,
)
from app.stt.base import Transcriber, Utterance
from app.telemetry.availability import transcriber_availability
from app.telemetry.request_ids import upstream_id
from app.timeouts import stall_tolerant_timeout

FAILURES_TO_BE_DOWN = 3
"""Failures in a row by which a transcriber counts as down: one can be bad luck. Chosen."""

log = structlog.get_logger(__name__)


class _Route:
    """A transcriber, and whether it works."""

    def __init__(self, transcriber: Transcriber) -> None:
        self.transcriber = transcriber
        self.provider = transcriber.provider or transcriber.name
        self._availability = transcriber_availability(transcriber.name)
        self._failures_in_a_row = 0

    async def transcribe(self, utterance: Utterance) -> str:
        """Transcribe, and log how that went in one line; raise what the transcriber raises."""
        began_at = asyncio.get_running_loop().time()
        outcome, error = "abandoned", None
        try:
            text = await self.transcriber.transcribe(utterance)
            outcome = "done"
        except ProviderError as raised:
            outcome, error = "failed", raised
            raise
        finally:
            total_ms = round((asyncio.get_running_loop().time() - began_at) * 1000)
            self._log(utterance, outcome, error, total_ms)
        self._failures_in_a_row = 0
        self._availability.on_success()
        return text

    def on_failure(self, error: ProviderError) -> None:
        """Learn from a failure; a recording that is refused, or no free socket, is none."""
        if isinstance(error, PoolExhaustedError):
            return
        is_sure = isinstance(error, (ConnectError, *ACCOUNT_ERRORS))
        self._failures_in_a_row += is_sure or error.retryable
        if is_sure or self._failures_in_a_row >= FAILURES_TO_BE_DOWN:
            self._availability.on_failure(error)

    def _log(
        self, utterance: Utterance, outcome: str, error: ProviderError | None, total_ms: int
    ) -> None:
        write = log.debug if self._availability.is_down and error is not None else log.info
        write(
            "transcription",
            transport=self.transcriber.name,
            outcome=outcome,
            audio_ms=round(utterance.format.duration_ms(len(utterance.pcm))),
            total_ms=total_ms,
            fault=None if error is None else error.code,
            **({} if error is None else {"reason": str(error), "host": error.host}),
            **upstream_id(None if error is None else error.request_id),
        )


class FallbackTranscriber(Transcriber):
    """Tries `transcribers` in turn until one succeeds.

    Raises the last one's error when all fail, and `ProviderTimeoutError` after `deadline_s` seconds
    in all. After a final error, no other transcriber of the same provider is tried.
    """

    name = "fallback"

    def __init__(self, transcribers: Sequence[Transcriber], *, deadline_s: float) -> None:
        self._routes = [_Route(transcriber) for transcriber in transcribers]
        self._deadline_s = deadline_s

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when the utterance holds no words."""
        try:
            async with stall_tolerant_timeout(self._deadline_s):
                return await self._try_each(utterance)
        except TimeoutError:
            raise ProviderTimeoutError(f"no transcript within {self._deadline_s} s") from None

    async def warm_up(self) -> None:
        """Warm up the first transcriber; the others are seldom needed."""
        await self._routes[0].transcriber.warm_up()

    async def aclose(self) -> None:
        """Close all transcribers."""
        for route in self._routes:
            await route.transcriber.aclose()

    async def _try_each(self, utterance: Utterance) -> str:
        refused: set[str] = set()
        failure: ProviderError | None = None
        for route in self._routes:
            if route.provider in refused:
                continue
            try:
                return await route.transcribe(utterance)
            except ProviderError as error:
                route.on_failure(error)
                failure = error
                if not error.retryable:
                    refused.add(route.provider)
        assert failure is not None
        raise failure
