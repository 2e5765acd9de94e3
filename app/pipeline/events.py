"""What a session emits, as data. Translators (`app/api/clients`) turn events into frames.

An event that belongs to a turn carries the number of that turn.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from app.agents.base import NodeText
from app.audio import AudioFormat
from app.errors import NabraError
from app.pipeline.session_config import SessionConfig
from app.pipeline.timeline import TurnMetrics
from app.pipeline.turn_taking import InterruptReason
from app.vad.base import EndReason

StatusCode = Literal["connected", "transcribing", "thinking", "speaking", "server-restarting"]


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The session has begun, by the terms that its translator knows."""

    turn: None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """A configuration is in force. Turns up to `after_turn` began with the one before."""

    config: SessionConfig
    after_turn: int
    turn: None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The gateway has entered this stage, or is being restarted."""

    code: StatusCode
    turn: int | None = None
    retry_after_ms: int | None = None
    """When to connect again; only where the server restarts."""


@dataclass(frozen=True, slots=True)
class UserSpeechStarted:
    """The VAD detected speech that began at `start_ms` of the input stream."""

    start_ms: float
    turn: None = None


@dataclass(frozen=True, slots=True)
class UserSpeechStopped:
    """The user's utterance has ended; its speech ended at `end_ms` of the input stream."""

    end_ms: float
    reason: EndReason
    turn: None = None


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The transcript of the user's utterance."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the agent's response."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class AgentResponded:
    """The agent's whole response."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Data of the agent for the client, which is not spoken."""

    turn: int
    data: bytes
    """JSON."""
    source: str
    """The node that sent it; empty where none is known."""


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The first audio of the turn follows, in this format."""

    turn: int
    format: AudioFormat


@dataclass(frozen=True, slots=True)
class SentenceStarted:
    """The audio that follows speaks this sentence."""

    turn: int
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class SentenceEnded:
    """The audio of a sentence has been sent, `audio_ms` of it; no more of it follows.

    Where trailing audio may come this is known when the next sentence begins, or the response ends.
    A sentence that is interrupted or has no audio does not end.
    """

    turn: int
    index: int
    audio_ms: float


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Headerless, sample-aligned audio."""

    turn: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The turn was interrupted after the client had played `played_text`, in `played_ms`."""

    turn: int
    reason: InterruptReason
    played_text: str
    played_ms: int
    metrics: TurnMetrics


@dataclass(frozen=True, slots=True)
class TurnDone:
    """The turn is complete; it may have failed."""

    turn: int
    metrics: TurnMetrics
    unspoken: tuple[NodeText, ...] = ()
    """The nodes whose text was not spoken."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something failed; the session continues if `recoverable`."""

    error: NabraError
    turn: int | None = None
    recoverable: bool = True


Event = (
    SessionOpened
    | Configured
    | Status
    | UserSpeechStarted
    | UserSpeechStopped
    | Transcribed
    | Token
    | AgentResponded
    | DataReceived
    | PlayoutStarted
    | SentenceStarted
    | AudioChunk
    | SentenceEnded
    | Interrupted
    | TurnDone
    | Failed
)

Emit = Callable[[Event], Awaitable[None]]
"""Sends an event to the client. Waits while the client reads slowly. Raises `ClientGoneError`."""


class ClientGoneError(Exception):
    """The client has disconnected or stopped reading."""


class DrainedError(Exception):
    """The gateway is being stopped, and has ended the session."""
