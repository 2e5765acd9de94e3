"""What a client can ask of its session, in any client protocol.

A translator (`app/api/clients`) makes commands of a client's frames, and `CommandHandler` carries
them out. What comes of them is told by events.
"""

from dataclasses import dataclass

from app.pipeline.session_config import SessionConfig


@dataclass(frozen=True, slots=True)
class AppendAudio:
    """Append audio to the input stream, in its format; chunks may end within a sample."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """End the utterance of the input stream here, and begin its turn."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Drop the audio of the input stream that no turn has taken."""


@dataclass(frozen=True, slots=True)
class SubmitRecording:
    """Begin a turn with a recording: a whole utterance in a file of any format."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AddText:
    """Add text of the user to the next turn, typed or spoken, without beginning it."""

    text: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Begin a turn with the text that was added."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Interrupt the current turn; harmless when there is none."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut the played text of an interrupted turn at what the user heard of its audio.

    It corrects what the next request reports to the agent, and is ignored once that was sent.
    """

    turn: int
    heard_ms: float


@dataclass(frozen=True, slots=True)
class ReportPlayback:
    """Report how much of a turn's audio the client has played."""

    turn: int
    played_ms: float


@dataclass(frozen=True, slots=True)
class Configure:
    """Put a configuration in force, from the next turn on. Answered by `Configured`."""

    config: SessionConfig


Command = (
    AppendAudio
    | Commit
    | Clear
    | SubmitRecording
    | AddText
    | Respond
    | Cancel
    | Truncate
    | ReportPlayback
    | Configure
)
