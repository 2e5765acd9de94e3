"""What happens in a conversation, as data: `api/` turns these into wire messages.

Every event of a turn carries the number of its turn.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from app.audio import AudioFormat
from app.errors import NabraError
from app.pipeline.timeline import TurnMetrics
from app.vad.base import EndReason

StatusCode = Literal["connected", "transcribing", "thinking", "speaking"]
InterruptReason = Literal["barge_in", "client"]


@dataclass(frozen=True, slots=True)
class Status:
    """What the gateway is doing."""

    code: StatusCode
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class UserSpeechStarted:
    """The user began to speak, at `start_ms` of the microphone's stream."""

    start_ms: float
    turn: None = None


@dataclass(frozen=True, slots=True)
class UserSpeechStopped:
    """The user's utterance is over; speech ended at `end_ms` of the microphone's stream."""

    end_ms: float
    reason: EndReason
    turn: None = None


@dataclass(frozen=True, slots=True)
class Transcribed:
    """What the user said."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer as it is written."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class AgentResponded:
    """The whole answer."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The first audio of the turn follows, in this format."""

    turn: int
    format: AudioFormat


@dataclass(frozen=True, slots=True)
class SentenceStarted:
    """The audio that follows says this."""

    turn: int
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Headerless, sample-aligned audio."""

    turn: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The turn is over before its end; `heard_text` of it was heard, in `played_ms` of audio."""

    turn: int
    reason: InterruptReason
    played_text: str
    played_ms: int
    metrics: TurnMetrics


@dataclass(frozen=True, slots=True)
class TurnDone:
    """The turn is over."""

    turn: int
    metrics: TurnMetrics


@dataclass(frozen=True, slots=True)
class Failed:
    """Something went wrong; the session goes on if `recoverable`."""

    error: NabraError
    turn: int | None = None
    recoverable: bool = True


Event = (
    Status
    | UserSpeechStarted
    | UserSpeechStopped
    | Transcribed
    | Token
    | AgentResponded
    | PlayoutStarted
    | SentenceStarted
    | AudioChunk
    | Interrupted
    | TurnDone
    | Failed
)

Emit = Callable[[Event], Awaitable[None]]
"""Hands an event to the client. Waits while the client is slow; raises `ClientGoneError`."""


class ClientGoneError(Exception):
    """The client left: there is nobody to tell."""
