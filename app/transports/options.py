"""What the operator has chosen for text to speech."""

from dataclasses import dataclass, field
from typing import Literal

from app.transports.policy import Policy


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long an attempt may be silent, in seconds; every transport gets these."""

    first_audio_timeout_s: float = 3.0
    """Longest wait for the first audio."""
    stall_timeout_s: float = 2.0
    """Longest silence after the first audio."""
    linger_s: float = 0.3
    """How long audio is expected after the regular end of an answer."""


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Which transports speak, in which order, and how hard they try."""

    transport: str = "websocket"
    """Name of the preferred transport, or `auto`."""
    fallback: Literal["websocket", "rest", "none"] | None = None
    """Name of the transport that is used when the preferred one fails; None: the other one."""
    allow_client_choice: bool = False
    """Whether a client may choose another transport for its session."""
    warm_connections: int = 1
    """Sockets that one response keeps busy, and that are opened ahead of need."""
    policy: Policy = field(default_factory=Policy)
    limits: StreamLimits = field(default_factory=StreamLimits)
