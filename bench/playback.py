"""What a caller's player makes of a turn: when it begins, how long it is silent, when it ends."""

from collections.abc import Sequence
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
        return cls(arrivals[0][0], arrivals[-1][0], silence_s(arrivals))


def silence_s(arrivals: Sequence[tuple[float, int]]) -> float:
    """Add up the gaps of a player that gets so many bytes at such times in seconds."""
    gaps_s, playing_until = 0.0, arrivals[0][0]
    for at_s, size in arrivals:
        gaps_s += max(0.0, at_s - playing_until)
        playing_until = max(playing_until, at_s) + PCM16_16K.duration_ms(size) / 1000
    return gaps_s
