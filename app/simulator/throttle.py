"""ThrottleWindow: how many sockets were opened of late."""

from collections import deque


class ThrottleWindow:
    """Count openings in a sliding window of time.

    The provider documents no limit. What was seen: four sockets within 20 s are too many, and
    sockets opened beyond the limit answer requests with 640 bytes. Every accepted opening counts,
    whether or not it was within the limit; a refused one does not, or a client that keeps asking
    would be kept out for ever.
    """

    def __init__(self) -> None:
        self._opened_at_s: deque[float] = deque()

    def exceeds(self, now_s: float, limit: int, window_s: float) -> bool:
        """Tell whether one more opening now would be beyond `limit`."""
        while self._opened_at_s and now_s - self._opened_at_s[0] >= window_s:
            self._opened_at_s.popleft()
        return len(self._opened_at_s) >= limit

    def open(self, now_s: float) -> None:
        """Count an accepted opening."""
        self._opened_at_s.append(now_s)

    def clear(self) -> None:
        """Forget all openings."""
        self._opened_at_s.clear()
