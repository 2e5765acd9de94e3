"""The operator's choices for TTS."""

from dataclasses import dataclass, field

from app.transports.policy import Policy


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Which transports speak, in which order, and how hard they try."""

    transport: str = "websocket"
    """Name of the preferred transport, or `auto`."""
    fallbacks: tuple[str, ...] | None = None
    """Names of the transports after it; empty for none. None chooses the other one of `websocket`
    and `rest`."""
    client_choices: tuple[str, ...] = ()
    """Transports that a client may choose for its session; `true` stands for those that the process
    has anyway."""
    policy: Policy = field(default_factory=Policy)
