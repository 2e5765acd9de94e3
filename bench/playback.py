"""Simulated playback of a turn: when it starts, how long it is silent, when its audio ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from app.audio import PCM16_16K
from bench.harness import TimedTurn


@dataclass(frozen=True, slots=True)
class Playback:
    """One turn in a player that starts at the first audio and plays in real time."""

    first_s: float
    """When the first audio arrived, in seconds since the turn was started."""
    last_s: float
    """When the last audio arrived; it is still to be played then."""
    silence_s: float
    """Sum of all gaps in which the player had nothing to play."""

    @classmethod
    def of(cls, turn: TimedTurn) -> Self:
        """Play a turn of PCM16 at 16 kHz. Raises `LookupError` when the turn has no audio."""
        arrivals = list(turn.arrivals())
        if not arrivals:
            raise LookupError("the turn has no audio")
        return cls(arrivals[0][0], arrivals[-1][0], silence_s(arrivals))


def silence_s(arrivals: Sequence[tuple[float, int]]) -> float:
    """Sum the gaps of a player, given arrival times in seconds and sizes in bytes."""
    gaps_s, playing_until = 0.0, arrivals[0][0]
    for at_s, size in arrivals:
        gaps_s += max(0.0, at_s - playing_until)
        playing_until = max(playing_until, at_s) + PCM16_16K.duration_ms(size) / 1000
    return gaps_s
