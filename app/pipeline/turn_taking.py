"""Turn-taking: who has the turn, the user or the agent. Pure: no I/O, no clock.

A turn begins when the user has said or typed something. It *prepares* until the agent is asked:
the user is transcribed, and may go on. Then it *responds*, until all of it has been sent. After
that it is *complete*, but the client may still be playing it.

Each input is a method, and what it decides is returned. A decision is in force when the method
returns; whoever called it carries it out afterwards, and may wait meanwhile.
`tests/pipeline/test_turn_taking.py` is the table of all of it.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, Protocol

InterruptReason = Literal["barge_in", "client"]

MAX_TOLD_CHARS = 4000
"""Most characters of the user's interrupted text that the agent is told; as long as typed text may
be."""


class Playback(Protocol):
    """How far the client has played the audio of a turn; `now` is a time in seconds."""

    def is_playing(self, now: float) -> bool:
        """Return whether the client still has audio to play."""

    def played_ms(self, now: float) -> float:
        """Return how much the client has played."""

    def played_text(self, played_ms: float) -> str:
        """Return the words of the first `played_ms` of audio."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Cancel this turn, and tell the client what was played of it."""

    turn: int
    reason: InterruptReason
    played_text: str = ""
    played_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin this turn, after the one that it interrupts, if any."""

    turn: int
    interrupt: Interrupt | None = None


@dataclass(frozen=True, slots=True)
class YieldTurn:
    """Let the user speak, after the turn that this interrupts, if any."""

    interrupt: Interrupt | None = None
    merged_turn: int | None = None
    """The turn whose utterance the user goes on with: both parts are one. None: a new utterance."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """What the agent is to be told: to what it was responding, and what of that was played."""

    user_text: str
    played_text: str


@dataclass(frozen=True, slots=True)
class AskAgent:
    """Ask the agent, and tell it of an interruption, if any."""

    interruption: Interruption | None = None


class Phase(Enum):
    """How far a turn has come."""

    PREPARING = auto()
    """The agent has not been asked."""
    RESPONDING = auto()
    COMPLETE = auto()
    """All was sent; the client may still play it."""


@dataclass(slots=True)
class _CurrentTurn:
    number: int
    is_spoken: bool
    """Whether it began with an utterance of the input stream, which may go on."""
    phase: Phase = Phase.PREPARING
    playback: Playback | None = None
    """None until the turn has started."""
    told_text: str | None = None
    """The user's text that the agent got; None if it got none."""
    told_of: "tuple[Interruption | None, _CurrentTurn | None]" = (None, None)
    """The interruption that the agent was told of with it, and the turn of that."""


class TurnTaking:
    """Decides for one session when a turn begins, what interrupts it, and what the agent is told.

    At most one turn is current. A turn that is not says nothing any more: neither to the client nor
    to the agent. `now` is a time in seconds, of any clock that does not jump.
    """

    def __init__(self, interruption: Interruption | None = None) -> None:
        self.last_turn = 0
        """Number of the last turn that was begun; they count from 1."""
        self._current: _CurrentTurn | None = None
        self._has_ended = False
        self._listens = False
        self._reports_playback = False
        self._untold_turn: _CurrentTurn | None = None
        """The turn of the interruption that the agent is still to be told of."""
        self.untold = interruption
        """The interruption that the agent is still to be told of."""

    @property
    def mergeable_turn(self) -> int | None:
        """The turn that began with an utterance which further speech would continue."""
        turn = self._current
        if turn is None or not turn.is_spoken or turn.phase is not Phase.PREPARING:
            return None
        return turn.number

    def is_responding(self, now: float) -> bool:
        """Return whether a turn runs, or the client still plays it."""
        return self._current is not None and self._is_active(self._current, now)

    def is_current(self, turn: int) -> bool:
        """Return whether a turn may still send events, and ask the agent."""
        is_over = self._current is None or self._current.number != turn
        return not (is_over or self._has_ended)

    def on_input(self, now: float) -> Begin:
        """Take typed text or a recording: it begins a turn, as a barge-in if another one runs."""
        return self._begin(now, is_spoken=False)

    def on_speech_stopped(self, now: float) -> Begin:
        """Take the end of an utterance of the input stream, which begins a turn as well."""
        return self._begin(now, is_spoken=True)

    def on_speech_started(self, now: float) -> YieldTurn:
        """Take the beginning of an utterance: a barge-in.

        A user who goes on speaking before the agent was asked has only paused.
        """
        merged_turn = self.mergeable_turn
        return YieldTurn(self.on_interrupt("barge_in", now), merged_turn)

    def on_interrupt(self, reason: InterruptReason, now: float) -> Interrupt | None:
        """Take the wish to end the current turn; None if there is nothing to interrupt.

        The agent is told of it by the next request, if it got that of this turn. If it did not, it
        is still to be told of the interruption before.
        """
        turn, self._current = self._current, None
        if turn is None or not self._is_active(turn, now):
            return None
        played_ms = turn.playback.played_ms(now) if turn.playback is not None else 0.0
        played_text = turn.playback.played_text(played_ms) if turn.playback is not None else ""
        if turn.told_text is not None:
            self.untold = Interruption(turn.told_text[:MAX_TOLD_CHARS], played_text)
            self._untold_turn = turn
        return Interrupt(turn.number, reason, played_text, played_ms)

    def on_truncate(self, turn: int, heard_ms: float) -> None:
        """Take how much of an interrupted turn the user heard; ignored once the agent was told."""
        untold = self._untold_turn
        if self.untold is None or untold is None or untold.number != turn:
            return
        if untold.playback is not None:
            played_text = untold.playback.played_text(heard_ms)
            self.untold = Interruption(self.untold.user_text, played_text)

    def on_turn_started(self, turn: int, playback: Playback) -> bool:
        """Take the start of a turn that was begun; False if it has been interrupted meanwhile."""
        if self._current is None or not self.is_current(turn):
            return False
        self._current.playback = playback
        return True

    def on_agent_needed(self, turn: int) -> AskAgent | None:
        """Take a turn's wish to ask the agent; None if the turn is not current any more."""
        if self._current is None or not self.is_current(turn):
            return None
        self._current.phase = Phase.RESPONDING
        return AskAgent(self.untold)

    def on_agent_told(self, turn: int, user_text: str) -> None:
        """Take note that the agent gets a turn's request, and what the user says in it."""
        current = self._current
        if current is not None and current.number == turn and current.told_text is None:
            current.told_text = user_text
            current.told_of = (self.untold, self._untold_turn)
            self.untold = self._untold_turn = None

    def on_agent_not_told(self, turn: int) -> None:
        """Take note that nobody took the request: what it told is still to be told."""
        current = self._current
        if current is not None and current.number == turn and current.told_text is not None:
            current.told_text = None
            self.untold, self._untold_turn = current.told_of

    def on_turn_complete(self, turn: int) -> None:
        """Take the end of all that a turn sends, failed or not."""
        if self._current is not None and self._current.number == turn:
            self._current.phase = Phase.COMPLETE

    def on_playback_report(self) -> None:
        """Take the first report on any turn: it shows that the client plays audio."""
        self._reports_playback = True

    def on_listening(self, *, listens: bool) -> None:
        """Take the start or end of an input stream; speech goes on only within one."""
        self._listens = listens
        if self._current is not None:
            self._current.is_spoken = False

    def on_session_end(self) -> None:
        """Take the end of the session, or the loss of the client: no turn is current any more.

        One that still runs can be interrupted as before, so that it is cancelled.
        """
        self._has_ended = True

    def _begin(self, now: float, *, is_spoken: bool) -> Begin:
        interrupt = self.on_interrupt("barge_in", now)
        self.last_turn += 1
        self._current = _CurrentTurn(self.last_turn, is_spoken)
        return Begin(self.last_turn, interrupt)

    def _is_active(self, turn: _CurrentTurn, now: float) -> bool:
        """Return whether a turn runs, or is played by a client that is known to play audio.

        That is known by its reports or its input stream: one that only shows the texts has nothing
        left to interrupt.
        """
        if turn.phase is not Phase.COMPLETE:
            return True
        plays_audio = self._reports_playback or self._listens
        return plays_audio and turn.playback is not None and turn.playback.is_playing(now)
