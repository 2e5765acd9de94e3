"""How hard to try: decisions about rounds of attempts, without I/O."""

import math
from dataclasses import dataclass

TARGET_SUCCESS = 0.95
"""Probability with which one round after a failure should succeed, 0 to 1.

At 0.95, 19 of 20 callers wait for one more first audio at most.
"""

MAX_PARALLEL_ATTEMPTS = 3
"""Most attempts in one round; each of them is paid for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of one sentence, times in seconds. The settings `TTS_…` explain the values."""

    attempts: int = 16
    """Most attempts at one sentence."""
    deadline_s: float = 20.0
    """Longest search for usable audio, at the beginning and after each break."""
    backoff_base_s: float = 0.2
    """Longest pause before the third round."""
    backoff_cap_s: float = 2.0
    """Longest pause before any round."""
    hedge_after_s: float | None = None
    """Silence after which a second attempt starts on the other route. None: never."""

    def pause_s(self, round: int, jitter: float) -> float:
        """Return the pause before a round, in seconds. Rounds count from 1.

        There is none before the second round, which takes another route. From the third on the
        pause doubles up to its cap. `jitter`, 0 to 1, scales it, so that callers that failed
        together do not retry together.
        """
        if round < 3:
            return 0.0
        return float(jitter * min(self.backoff_cap_s, self.backoff_base_s * 2 ** (round - 3)))


def parallel_attempts(failure_rate: float) -> int:
    """Return how many attempts a round needs to succeed with probability `TARGET_SUCCESS`.

    `failure_rate` is 0 to 1. The result is 1 to `MAX_PARALLEL_ATTEMPTS`.
    """
    if failure_rate <= 1 - TARGET_SUCCESS:
        return 1
    if failure_rate >= 1:
        return MAX_PARALLEL_ATTEMPTS
    return min(
        MAX_PARALLEL_ATTEMPTS, math.ceil(math.log(1 - TARGET_SUCCESS) / math.log(failure_rate))
    )
