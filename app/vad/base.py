"""The listening strategy: a microphone's stream goes in, the borders of utterances come out."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from app.audio import AudioFormat

EndReason = Literal["silence", "limit", "client"]
"""Why an utterance is over: a pause, its greatest length, or because the client said so."""


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Somebody speaks, since `start_ms` of the stream."""

    start_ms: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """A pause that may turn out to be the end; `pcm` is the utterance if it does."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """It was not the end."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance is over: `pcm` holds it from before its first syllable, at 16 kHz."""

    end_ms: float
    pcm: bytes
    silence_ms: float
    """Silence that was heard before this was decided."""
    reason: EndReason


SpeechEvent = SpeechBegan | SpeechPaused | SpeechResumed | SpeechEnded


class UtteranceDetector(ABC):
    """Listens to one stream. Without I/O: it is fed, and returns what it heard."""

    @abstractmethod
    def process(self, data: bytes, *, during_response: bool) -> list[SpeechEvent]:
        """Take what a microphone sent; its boundary may split a sample.

        It takes more speech to begin an utterance `during_answer`: a listener's «اه» is none.
        """

    @abstractmethod
    def finish(self) -> SpeechEnded | None:
        """End the utterance here; None when nobody speaks."""


CreateDetector = Callable[[AudioFormat], Awaitable[UtteranceDetector]]
"""Opens a listener for a stream in this format."""
