"""The STT strategy: one whole utterance in, its transcript out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from app.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech of the user: PCM16, mono, without a header, in `format`."""

    pcm: bytes
    format: AudioFormat
    language: str = "ar"


class Transcriber(ABC):
    """Turns utterances into text."""

    name: str
    provider: str = ""
    """Whose service it is: what refuses one of its transcribers refuses all. By default its name.
    """

    @abstractmethod
    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when the utterance holds no words.

        Raises a `ProviderError` when the provider fails.
        """

    async def warm_up(self) -> None:
        """Open the connection that the first request would otherwise wait for."""

    async def aclose(self) -> None:
        """Close all connections."""
