"""The speech-to-text strategy: one whole utterance goes in, its transcript comes out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from app.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the user said: headerless PCM16 mono in `format`."""

    pcm: bytes
    format: AudioFormat
    language: str = "ar"


class Transcriber(ABC):
    """Something that turns an utterance into text."""

    name: str

    @abstractmethod
    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when no words were heard.

        Raises a `ProviderError` when the provider fails.
        """

    async def warm_up(self) -> None:
        """Open what the first request would otherwise wait for."""

    async def aclose(self) -> None:
        """Give up all connections."""
