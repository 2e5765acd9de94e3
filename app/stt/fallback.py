"""Speech to text by the first way that works: a transcriber made of transcribers."""

import asyncio
from collections.abc import Sequence

import structlog

from app.errors import ProviderError, ProviderTimeoutError
from app.stt.base import Transcriber, Utterance

log = structlog.get_logger(__name__)


class FallbackTranscriber(Transcriber):
    """Asks `transcribers` in turn, until one answers or `deadline_s` is over.

    Raises the last one's error when none does, and a final error at once.
    """

    name = "fallback"

    def __init__(self, transcribers: Sequence[Transcriber], *, deadline_s: float) -> None:
        self._transcribers = transcribers
        self._deadline_s = deadline_s

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when no words were heard."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._ask_each(utterance)
        except TimeoutError:
            raise ProviderTimeoutError(f"no transcript within {self._deadline_s} s") from None

    async def warm_up(self) -> None:
        """Warm the first up; the others are there for when it fails."""
        await self._transcribers[0].warm_up()

    async def aclose(self) -> None:
        """Close all."""
        for transcriber in self._transcribers:
            await transcriber.aclose()

    async def _ask_each(self, utterance: Utterance) -> str:
        *earlier, last = self._transcribers
        for transcriber in earlier:
            try:
                return await transcriber.transcribe(utterance)
            except ProviderError as error:
                log.warning("transcription failed", transport=transcriber.name, code=error.code)
                if not error.retryable:
                    raise
        return await last.transcribe(utterance)
