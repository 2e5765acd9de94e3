"""Whether a way to the provider deserves another request: a pure circuit breaker.

    closed ── FAILURES_TO_OPEN in a row ──▶ open ── cool-down ──▶ half-open ── success ──▶ closed
                                              ◀──────── failure ──────┘

A truncated answer is a failure like any other. While half-open, one request at a time is the probe.
All times are seconds of one monotonic clock.
"""

from collections import deque

FAILURES_TO_OPEN = 5
"""Failures in a row. With every second answer truncated, as seen in the field, that is one in 32:
an outage, and no bad luck."""

COOL_DOWN_S = 5.0
"""First pause before a probe; it doubles with each probe that fails."""

MAX_COOL_DOWN_S = 60.0

RATE_WINDOW = 20
"""How many of the last attempts the failure rate is taken from."""

RATE_LEAST = 10
"""Fewer attempts count as so many, the others good: one bad answer is no rate."""


OUTAGE_RATE = 0.8
"""Failure rate of an outage: with every second answer truncated, 16 of 20 fail once in 170."""


class Breaker:
    """Learns from outcomes. Each `try_begin` that says yes is followed by one outcome.

    One that was sent before the breaker opened, or in spite of it, is no probe: its outcome counts,
    but says nothing of the probe that may be under way.
    """

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=RATE_WINDOW)
        self._failures_in_a_row = 0
        self._cool_down_s = COOL_DOWN_S
        self._open_until: float | None = None
        self._blocked_until = float("-inf")
        self._probing = False

    def __repr__(self) -> str:
        state = "closed" if self._open_until is None else "open"
        return f"<Breaker {state} failure_rate={self.failure_rate:.2f}>"

    @property
    def is_closed(self) -> bool:
        """Whether requests pass freely."""
        return self._open_until is None

    @property
    def is_outage(self) -> bool:
        """Whether so much fails that more attempts are in vain; many callers have runs by chance.

        With every second answer truncated, five failures in a row come once in 64 attempts.
        """
        return not self.is_closed and self.failure_rate >= OUTAGE_RATE

    @property
    def failure_rate(self) -> float:
        """The share of recent attempts that failed, 0 to 1; 0 while nothing is known."""
        return self._outcomes.count(False) / max(len(self._outcomes), RATE_LEAST)

    def blocked_until(self, now: float) -> float:
        """Return the time that the provider has named for the next request, `now` if none."""
        return max(now, self._blocked_until)

    def opens_at(self, now: float) -> float:
        """Return when a request may be tried; `now` if it may at once."""
        return max(self.blocked_until(now), self._open_until or now)

    def try_begin(self, now: float) -> bool:
        """Ask to send a request."""
        if self.opens_at(now) > now or self._probing:
            return False
        self._probing = self._open_until is not None
        return True

    def succeeded(self) -> None:
        """Learn that the answer was good."""
        self._outcomes.append(True)
        self._failures_in_a_row = 0
        self._cool_down_s = COOL_DOWN_S
        self._open_until = None
        self._probing = False

    def failed(self, now: float, *, is_probe: bool = True) -> None:
        """Learn that the answer was bad, or that none came."""
        self._outcomes.append(False)
        self._failures_in_a_row += 1
        probed = self._probing and is_probe
        if probed:
            self._cool_down_s = min(2 * self._cool_down_s, MAX_COOL_DOWN_S)
            self._probing = False
        if probed or self._failures_in_a_row >= FAILURES_TO_OPEN:
            self._open_until = now + self._cool_down_s

    def abandoned(self, *, is_probe: bool = True) -> None:
        """Learn nothing: nobody waited for the outcome."""
        if is_probe:
            self._probing = False

    def block(self, until: float) -> None:
        """Send nothing before a time that the provider has named."""
        self._blocked_until = max(self._blocked_until, until)
