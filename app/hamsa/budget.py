"""How many sockets may be opened: a sliding window per API key."""

from collections import deque
from typing import Protocol


class ConnectBudget(Protocol):
    """Permission to open sockets. All times are seconds of one monotonic clock.

    An implementation that several processes share reserves permits ahead of need, so that these
    answers stay immediate.
    """

    def try_open(self, now: float) -> bool:
        """Take a permit to open one socket, if there is one."""

    def next_opening_at(self, now: float) -> float:
        """Return the earliest time at which a permit may be had; `now` if there is one."""

    def penalize(self, now: float, for_s: float) -> None:
        """Give no permit for a while: the provider has shown that it throttles."""


class SlidingWindowBudget:
    """At most `limit` openings in any window of `window_s` seconds. A refused one counts."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._openings: deque[float] = deque()
        self._closed_until = float("-inf")

    def __repr__(self) -> str:
        return f"<SlidingWindowBudget {len(self._openings)}/{self._limit} in {self._window_s} s>"

    def try_open(self, now: float) -> bool:
        """Take a permit to open one socket, if there is one."""
        if self.next_opening_at(now) > now:
            return False
        self._openings.append(now)
        return True

    def next_opening_at(self, now: float) -> float:
        """Return the earliest time at which a permit may be had; `now` if there is one."""
        while self._openings and self._openings[0] + self._window_s <= now:
            self._openings.popleft()
        at = max(now, self._closed_until)
        if len(self._openings) >= self._limit:
            at = max(at, self._openings[0] + self._window_s)
        return at

    def penalize(self, now: float, for_s: float) -> None:
        """Give no permit for `for_s` seconds."""
        self._closed_until = max(self._closed_until, now + for_s)
