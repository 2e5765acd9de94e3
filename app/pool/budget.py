"""How many sockets may be opened: a sliding window for each API key."""

from collections import deque
from typing import Protocol


class ConnectBudget(Protocol):
    """Permits to open sockets. All times are seconds of one monotonic clock.

    An implementation that several processes share reserves permits in advance, so that these
    methods return at once.
    """

    def try_open(self, now: float) -> bool:
        """Take a permit to open one socket. Return whether there was one."""

    def next_opening_at(self, now: float) -> float:
        """Return the earliest time at which a permit is available; `now` if one is."""

    def openings_left(self, now: float) -> int:
        """Return how many permits are available; for metrics."""

    def penalize(self, now: float, for_s: float) -> None:
        """Refuse all permits for `for_s` seconds: the provider shows signs of throttling."""


class SlidingWindowBudget:
    """At most `limit` openings in any window of `window_s` seconds. A failed opening counts."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._opened_at: deque[float] = deque()
        self._blocked_until = float("-inf")

    def __repr__(self) -> str:
        return f"<SlidingWindowBudget {len(self._opened_at)}/{self._limit} in {self._window_s} s>"

    def try_open(self, now: float) -> bool:
        """Take a permit to open one socket. Return whether there was one."""
        if self.next_opening_at(now) > now:
            return False
        self._opened_at.append(now)
        return True

    def next_opening_at(self, now: float) -> float:
        """Return the earliest time at which a permit is available; `now` if one is."""
        while self._opened_at and self._opened_at[0] + self._window_s <= now:
            self._opened_at.popleft()
        at = max(now, self._blocked_until)
        if len(self._opened_at) >= self._limit:
            at = max(at, self._opened_at[0] + self._window_s)
        return at

    def openings_left(self, now: float) -> int:
        """Return how many permits are available; for metrics."""
        if self.next_opening_at(now) > now:
            return 0
        return self._limit - len(self._opened_at)

    def penalize(self, now: float, for_s: float) -> None:
        """Refuse all permits for `for_s` seconds."""
        self._blocked_until = max(self._blocked_until, now + for_s)
