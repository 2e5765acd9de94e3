"""Throttle: how many sockets may be opened, and how many were of late."""

from collections import deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Throttle(BaseModel):
    """What happens to sockets that are opened beyond `limit` in any `window_s` seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    limit: int = Field(ge=0)
    window_s: float = Field(gt=0)
    mode: Literal["truncated", "refused"] = "truncated"
    """`truncated`: every TTS request on such a socket gets 640 bytes; `refused`: its handshake
    gets a 429."""


class ThrottleWindow:
    """Count opened sockets in a sliding window of time.

    The provider documents no limit. What was seen: four sockets within 20 s are too many, and
    sockets opened beyond the limit send 640 bytes a request. Every accepted socket counts,
    whether within the limit or not. A refused one does not, or a client that keeps trying would
    be kept out for ever.
    """

    def __init__(self) -> None:
        self._opened_at_s: deque[float] = deque()

    def is_full(self, now_s: float, throttle: Throttle) -> bool:
        """Return whether one more socket now would be beyond the limit."""
        while self._opened_at_s and now_s - self._opened_at_s[0] >= throttle.window_s:
            self._opened_at_s.popleft()
        return len(self._opened_at_s) >= throttle.limit

    def count(self, now_s: float) -> None:
        """Count a socket that was accepted."""
        self._opened_at_s.append(now_s)

    def clear(self) -> None:
        """Forget all sockets."""
        self._opened_at_s.clear()
