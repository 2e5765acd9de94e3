"""What starts a turn: typed text, a recording, or an utterance out of a stream."""

import asyncio
from dataclasses import dataclass

import structlog

from app.errors import ProviderError
from app.stt.base import Transcriber, Utterance

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EncodedUtterance:
    """A whole utterance as the client encoded it, in any container."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CommittedUtterance:
    """An utterance that was streamed until the client said that it ended: PCM16 at 16 kHz."""

    pcm: bytes
    received_bytes: int
    """Its size in the format of the stream."""
    duration_s: float


class SpeculativeTranscript:
    """A transcript requested before the utterance is known to have ended.

    The request is a task of `tasks`.
    """

    def __init__(
        self, transcriber: Transcriber, utterance: Utterance, tasks: asyncio.TaskGroup
    ) -> None:
        self._transcriber = transcriber
        self._utterance = utterance
        self._task = tasks.create_task(self._transcribe(), name="speculative-transcript")

    async def text(self) -> str | None:
        """Wait for the transcript; None when it failed."""
        return await self._task

    def cancel(self) -> None:
        """Cancel the request; a no-op when it has finished."""
        self._task.cancel()

    async def _transcribe(self) -> str | None:
        """Transcribe; a failure is only logged, since the turn then transcribes once more.

        Its lines have no turn: it is not known whether one begins.
        """
        structlog.contextvars.bind_contextvars(speculative=True)
        try:
            return await self._transcriber.transcribe(self._utterance)
        except ProviderError as error:
            log.info("speculative transcription failed", code=error.code)
        except Exception:
            log.exception("speculative transcription failed")
        return None


@dataclass(frozen=True, slots=True)
class StreamedUtterance:
    """An utterance that was detected in an input stream: PCM16 at 16 kHz."""

    pcm: bytes
    silence_s: float = 0.0
    """Silence after the utterance by which its end was detected."""
    speculative: SpeculativeTranscript | None = None
    """The transcript, if it was requested at the pause before the end."""


UserInput = EncodedUtterance | CommittedUtterance | StreamedUtterance | str
"""A string is typed text."""
