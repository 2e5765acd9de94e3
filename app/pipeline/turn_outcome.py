"""How a turn ended: what its log line says, and what is counted. Pure."""

from dataclasses import dataclass
from typing import Final

from app.errors import BadInputError, NabraError, NoSpeechError
from app.pipeline.timeline import TurnMetrics

DONE: Final = "done"
"""The caller was sent every sentence whole."""

SILENT: Final = "silent"
"""There was a response, but no audio of it was sent."""

PARTIAL: Final = "partial"
"""Some sentence was lost, or broke off."""

INTERRUPTED: Final = "interrupted"
CLIENT_LEFT: Final = "client-left"
SHUTDOWN: Final = "shutdown"

OUTCOMES = (DONE, SILENT, PARTIAL, INTERRUPTED, CLIENT_LEFT, SHUTDOWN)
"""All that are no error's code."""


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """One of `OUTCOMES`, or the code of the error that ended the turn, with its cause."""

    name: str
    cause: NabraError | None = None
    """The error that ended the turn, or lost its first lost sentence; None if there was none."""

    @property
    def is_failure(self) -> bool:
        """Whether an operator should know: the caller missed something by no act of their own."""
        if isinstance(self.cause, BadInputError | NoSpeechError):
            return False
        return self.cause is not None or self.name == SILENT


def turn_outcome(
    metrics: TurnMetrics, error: NabraError | None = None, *, ended_by: str | None = None
) -> TurnOutcome:
    """Decide how a turn ended.

    `ended_by` is what cut it: an interruption, or the end of its session. `error` ended it.
    """
    if ended_by is not None:
        return TurnOutcome(ended_by)
    if error is not None:
        return TurnOutcome(error.code, error)
    lost = next((each.error for each in metrics.sentences if each.error is not None), None)
    if not any(each.audio_ms for each in metrics.sentences):
        return TurnOutcome(SILENT, lost)
    return TurnOutcome(DONE) if lost is None else TurnOutcome(PARTIAL, lost)
