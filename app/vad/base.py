"""The VAD strategy: an input stream goes in, the boundaries of its utterances come out."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from app.audio import AudioFormat

EndReason = Literal["silence", "limit", "client"]
"""What ended an utterance: silence, its greatest length, or the client."""


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """An utterance has begun, at `start_ms` of the stream."""

    start_ms: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The user pauses. `pcm` is the whole utterance if this is its end."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """The pause was not the end of the utterance."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance has ended. `pcm` holds it with its pre-roll: PCM16 at 16 kHz."""

    end_ms: float
    """End of the speech in the stream."""
    pcm: bytes
    silence_ms: float
    """Silence after the speech until this was decided."""
    reason: EndReason


SpeechEvent = SpeechBegan | SpeechPaused | SpeechResumed | SpeechEnded


class UtteranceDetector(ABC):
    """Finds the utterances of one stream. Does no I/O."""

    @abstractmethod
    def process(self, data: bytes, *, during_response: bool) -> list[SpeechEvent]:
        """Take the next audio, and return what was detected in it.

        `data` may end within a sample. `during_response`, an utterance needs more speech to begin:
        a backchannel such as «اه» is not a barge-in.
        """

    @abstractmethod
    def finish(self) -> SpeechEnded | None:
        """End the utterance here; None when there is none."""


CreateDetector = Callable[[AudioFormat], Awaitable[UtteranceDetector]]
"""Creates a detector for a stream in this format."""
