"""How a client speaks and listens, and what it may choose."""

from dataclasses import dataclass
from typing import Literal

from app.audio import PCM16_16K, AudioFormat
from app.errors import UnsupportedConfigurationError
from app.types import Language, Voice

TurnDetection = Literal["none", "server_vad"]


@dataclass(frozen=True, slots=True)
class SpeechStyle:
    """How responses are spoken to a client."""

    voice: Voice
    format: AudioFormat
    language: Language
    transport: str = ""
    """Name of the transport; ignored unless clients may choose one."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The configuration of a session, in any client protocol."""

    style: SpeechStyle
    input: AudioFormat = PCM16_16K
    """The format of the input stream."""
    turn_detection: TurnDetection = "none"
    """What ends an utterance: the client (`none`) or the gateway's VAD."""

    def input_differs(self, other: "SessionConfig") -> bool:
        """Return whether the input stream is processed differently than with `other`."""
        return (self.turn_detection, self.input) != (other.turn_detection, other.input)


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The largest input of a client."""

    utterance_bytes: int
    """Of one utterance, after base64 decoding."""
    text_chars: int
    """Of the typed text of one turn."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a session begins with, and what its client may choose."""

    session_id: str
    config: SessionConfig
    """The first configuration."""
    limits: InputLimits
    transports: tuple[str, ...] = ()
    """Transports that the client may choose; none where it may not choose."""
    fixed_speaker: str | None = None
    """The only voice that the client's token allows; None for any."""

    def check(self, style: SpeechStyle, current: SpeechStyle) -> None:
        """Raise `UnsupportedConfigurationError` unless the client may change to `style`."""
        if self.fixed_speaker not in (None, style.voice.speaker):
            raise UnsupportedConfigurationError(f"speaker: allowed: {self.fixed_speaker}")
        if style.transport not in (current.transport, *self.transports):
            allowed = ", ".join(self.transports) or "none, the gateway chooses"
            raise UnsupportedConfigurationError(f"transport: allowed: {allowed}")
