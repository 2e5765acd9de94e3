"""STT by the first transcriber that works."""

from collections.abc import Sequence

import structlog

from app.errors import ProviderError, ProviderTimeoutError
from app.stt.base import Transcriber, Utterance
from app.timeouts import stall_tolerant_timeout

log = structlog.get_logger(__name__)


class FallbackTranscriber(Transcriber):
    """Tries `transcribers` in turn until one succeeds.

    Raises the last one's error when all fail, and `ProviderTimeoutError` after `deadline_s` seconds
    in all. After a final error, no other transcriber of the same provider is tried.
    """

    name = "fallback"

    def __init__(self, transcribers: Sequence[Transcriber], *, deadline_s: float) -> None:
        self._transcribers = transcribers
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
        await self._transcribers[0].warm_up()

    async def aclose(self) -> None:
        """Close all transcribers."""
        for transcriber in self._transcribers:
            await transcriber.aclose()

    async def _try_each(self, utterance: Utterance) -> str:
        refused: set[str] = set()
        failure: ProviderError | None = None
        for transcriber in self._transcribers:
            provider = transcriber.provider or transcriber.name
            if provider in refused:
                continue
            try:
                return await transcriber.transcribe(utterance)
            except ProviderError as error:
                log.warning("transcription failed", transport=transcriber.name, code=error.code)
                failure = error
                if not error.retryable:
                    refused.add(provider)
        assert failure is not None
        raise failure
