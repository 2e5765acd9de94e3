"""The operator's choices for TTS."""

from dataclasses import dataclass, field
from typing import Literal

from app.transports.policy import Policy


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long an attempt may be silent, and its audio be. Every transport gets these limits."""

    first_audio_timeout_s: float = 3.0
    """Longest wait for the first audio, in seconds; so are all times but the last."""
    stall_timeout_s: float = 2.0
    """Longest silence after the first audio."""
    linger_s: float = 0.3
    """How long trailing audio may arrive after the regular end of a stream."""
    max_ms_per_char: float = 1000.0
    """Longest audio for each speakable character, in milliseconds."""


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Which transports speak, in which order, and how hard they try."""

    transport: str = "websocket"
    """Name of the preferred transport, or `auto`."""
    fallback: Literal["websocket", "rest", "none"] | None = None
    """Name of the transport after it. None chooses the other one of `websocket` and `rest`."""
    allow_client_choice: bool = False
    """Whether a client may choose another transport for its session."""
    warm_connections: int = 1
    """How many sockets are opened ahead of need: as many as one response keeps busy."""
    policy: Policy = field(default_factory=Policy)
    limits: StreamLimits = field(default_factory=StreamLimits)
