"""Whether a route deserves another request: a circuit breaker without I/O.

    closed ── failures in a row ──▶ open ── cool-down ──▶ half-open ── success ──▶ closed
                                     ◀────────── failure ─────┘

A truncated stream is a failure like any other. While half-open, one request at a time is the probe.
All times are seconds of one monotonic clock.
"""

from collections import deque
from typing import Literal, get_args

from app.transports.policy import BreakerLimits

BreakerState = Literal["closed", "blocked", "open", "half-open"]
BREAKER_STATES: tuple[BreakerState, ...] = get_args(BreakerState)


class Breaker:
    """Learns from the outcomes of attempts.

    Call one `record_…` method after each `try_begin` that returned True. An attempt that began
    before the breaker opened, or although it is open, is no probe: its outcome counts, but does not
    end the probe.
    """

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self._limits = limits or BreakerLimits()
        self._outcomes: deque[bool] = deque(maxlen=self._limits.rate_window_attempts)
        self._failures_in_a_row = 0
        self._cool_down_s = self._limits.cool_down_s
        self._open_until: float | None = None
        self._blocked_until = float("-inf")
        self._is_probing = False

    def __repr__(self) -> str:
        state = "closed" if self._open_until is None else "open"
        return f"<Breaker {state} failure_rate={self.failure_rate:.2f}>"

    @property
    def is_closed(self) -> bool:
        """Whether requests pass without a probe."""
        return self._open_until is None

    @property
    def is_outage(self) -> bool:
        """Whether so much fails that more attempts are in vain.

        An open breaker alone is no proof: with every second stream truncated, five failures in a
        row come once in 64 attempts.
        """
        return not self.is_closed and self.failure_rate >= self._limits.outage_rate

    @property
    def failure_rate(self) -> float:
        """The share of recent attempts that failed, 0 to 1; 0 before the first attempt."""
        attempts = max(len(self._outcomes), self._limits.min_rate_attempts)
        return self._outcomes.count(False) / attempts

    def state(self, now: float) -> BreakerState:
        """Return the state.

        Half-open: the cool-down is over, and the next attempt is the probe. Blocked: it is closed,
        but the provider wants no request yet.
        """
        if self.is_closed:
            return "blocked" if self._blocked_until > now else "closed"
        return "open" if self.next_attempt_at(now) > now else "half-open"

    def blocked_until(self, now: float) -> float:
        """Return the time before which the provider wants no request; `now` if there is none."""
        return max(now, self._blocked_until)

    def next_attempt_at(self, now: float) -> float:
        """Return the earliest time for a request; `now` if one may be sent."""
        return max(self.blocked_until(now), self._open_until or now)

    def try_begin(self, now: float) -> bool:
        """Return whether a request may be sent; it is the probe if the breaker is open."""
        if self.next_attempt_at(now) > now or self._is_probing:
            return False
        self._is_probing = self._open_until is not None
        return True

    def record_success(self) -> None:
        """Count a complete stream, and close the breaker."""
        self._outcomes.append(True)
        self._failures_in_a_row = 0
        self._cool_down_s = self._limits.cool_down_s
        self._open_until = None
        self._is_probing = False

    def record_failure(self, now: float, *, is_probe: bool = True) -> None:
        """Count a failed attempt; open the breaker if there are too many in a row.

        `is_probe` is False for an attempt that cannot be the probe.
        """
        self._outcomes.append(False)
        self._failures_in_a_row += 1
        probe_failed = self._is_probing and is_probe
        if probe_failed:
            self._cool_down_s = min(2 * self._cool_down_s, self._limits.max_cool_down_s)
            self._is_probing = False
        if probe_failed or self._failures_in_a_row >= self._limits.failures_to_open:
            self._open_until = now + self._cool_down_s

    def record_abandoned(self, *, is_probe: bool = True) -> None:
        """End an attempt without an outcome: cancelled, or failed by no fault of the route."""
        if is_probe:
            self._is_probing = False

    def block(self, until: float) -> None:
        """Let no request pass before a time that the provider has named."""
        self._blocked_until = max(self._blocked_until, until)
