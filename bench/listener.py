"""What a caller's player makes of a turn: when it begins, how long it is silent, when it ends."""

from dataclasses import dataclass
from typing import Self

from app.audio import PCM16_16K
from bench.harness import TimedTurn


@dataclass(frozen=True, slots=True)
class Heard:
    """The turn as it is heard by a player that begins at the first audio and plays in real time."""

    first_s: float
    last_s: float
    """When the last audio has come, not when it has been played."""
    silence_s: float
    """All gaps in which it had nothing to play."""

    @classmethod
    def of(cls, turn: TimedTurn) -> Self:
        """Play a turn of PCM16 at 16 kHz. Raises `LookupError` when there was nothing to hear."""
        arrivals = list(turn.arrivals())
        if not arrivals:
            raise LookupError("there was no audio")
        first_s = playing_until = arrivals[0][0]
        silence_s = 0.0
        for at_s, size in arrivals:
            silence_s += max(0.0, at_s - playing_until)
            playing_until = max(playing_until, at_s) + PCM16_16K.duration_ms(size) / 1000
        return cls(first_s, arrivals[-1][0], silence_s)
