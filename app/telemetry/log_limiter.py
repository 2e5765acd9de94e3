"""Lines that strangers can cause, kept from filling the disk."""

from collections import Counter

import structlog

LOG_INTERVAL_S = 10.0
"""At most one line of a kind in this time."""

MAX_KINDS = 64
"""Kinds that are limited each by itself: more than there are codes. Those beyond share a limit."""


class LogLimiter:
    """Lets one line of a kind through in a while, with the number of those that were left out.

    Lines are of one kind that have the same event, and the same `kind` where one is given.
    """

    def __init__(self, interval_s: float = LOG_INTERVAL_S) -> None:
        self._log = structlog.get_logger(__name__)
        self._interval_s = interval_s
        self._next_at: dict[tuple[str, str], float] = {}
        self._left_out: Counter[tuple[str, str]] = Counter()

    def warning(self, now: float, event: str, *, kind: str = "", **fields: object) -> None:
        """Log a warning, unless one of its kind was logged a moment ago."""
        if (repeated := self._repeated(now, event, kind)) is not None:
            self._log.warning(event, **fields, repeated=repeated)

    def info(self, now: float, event: str, *, kind: str = "", **fields: object) -> None:
        """Log what is no fault, unless one of its kind was logged a moment ago."""
        if (repeated := self._repeated(now, event, kind)) is not None:
            self._log.info(event, **fields, repeated=repeated)

    def _repeated(self, now: float, event: str, kind: str) -> int | None:
        """Return how many lines of this kind were left out; None when this one is, too."""
        key = (event, kind)
        if key not in self._next_at and len(self._next_at) >= MAX_KINDS:
            key = (event, "")
        if now < self._next_at.get(key, float("-inf")):
            self._left_out[key] += 1
            return None
        self._next_at[key] = now + self._interval_s
        return self._left_out.pop(key, 0)
