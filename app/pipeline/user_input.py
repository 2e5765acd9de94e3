"""What a user said, as it comes: a recording, an utterance out of a stream, or its transcript."""

import asyncio
from dataclasses import dataclass

import structlog

from app.errors import ProviderError
from app.stt.base import Transcriber, Utterance

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EncodedUtterance:
    """A whole utterance as the client recorded it, in any container."""

    data: bytes


class SpeculativeTranscript:
    """The transcript of what may be an utterance; `tasks` owns the request."""

    def __init__(
        self, transcriber: Transcriber, utterance: Utterance, tasks: asyncio.TaskGroup
    ) -> None:
        self._transcriber = transcriber
        self._utterance = utterance
        self._task = tasks.create_task(self._transcribe(), name="early-transcript")

    async def text(self) -> str | None:
        """Return the transcript; None when it failed, and has to be asked for again."""
        return await self._task

    def discard(self) -> None:
        """Give up the request; harmless when it has been answered."""
        self._task.cancel()

    async def _transcribe(self) -> str | None:
        try:
            return await self._transcriber.transcribe(self._utterance)
        except ProviderError as error:
            # it was a try: the turn asks again, and tells what becomes of that
            log.info("early transcript failed", code=error.code)
        except Exception:
            log.exception("early transcript failed")
        return None


@dataclass(frozen=True, slots=True)
class StreamedUtterance:
    """An utterance out of a microphone's stream: PCM16 at 16 kHz."""

    pcm: bytes
    silence_s: float = 0.0
    """How long ago it ended: the silence that told so."""
    speculative: SpeculativeTranscript | None = None
    """Its transcript, if that has been asked for already."""


UserInput = EncodedUtterance | StreamedUtterance | str
"""A string is typed text."""
