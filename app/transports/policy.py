"""How hard to try: pure decisions about rounds of attempts."""

import math
from dataclasses import dataclass

TARGET_SUCCESS = 0.95
"""How likely a round of recovery should bring a good answer: then 19 callers of 20 wait for one
more first-audio time at the most."""

MAX_PARALLEL_ATTEMPTS = 3
"""Most attempts in one round: each is paid for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of one sentence; times in seconds, the settings of the same names explain them."""

    attempts: int = 16
    deadline_s: float = 20.0
    """Longest search for a good answer, at the beginning and after each break."""
    backoff_base_s: float = 0.2
    backoff_cap_s: float = 2.0
    hedge_after_s: float | None = None
    """Silence after which a second attempt goes the other way; None never does that."""

    def pause_s(self, round: int, jitter: float) -> float:
        """Return how long to wait before a round, counted from 1.

        The second goes at once, elsewhere. From the third on the pause doubles up to its cap;
        `chance`, 0 to 1, spreads callers that failed together.
        """
        if round < 3:
            return 0.0
        return float(jitter * min(self.backoff_cap_s, self.backoff_base_s * 2 ** (round - 3)))


def parallel_attempts(failure_rate: float) -> int:
    """Return how many attempts make a round of recovery likely to succeed, as things fail now."""
    if failure_rate <= 1 - TARGET_SUCCESS:
        return 1
    if failure_rate >= 1:
        return MAX_PARALLEL_ATTEMPTS
    return min(
        MAX_PARALLEL_ATTEMPTS, math.ceil(math.log(1 - TARGET_SUCCESS) / math.log(failure_rate))
    )
