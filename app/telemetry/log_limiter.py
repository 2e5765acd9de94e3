"""Lines that strangers can cause, kept from filling the disk."""

from collections import Counter

import structlog

LOG_INTERVAL_S = 10.0
"""At most one line of a kind in this time."""


class LogLimiter:
    """Lets one line through in a while, with the number of those that were left out."""

    def __init__(self, interval_s: float = LOG_INTERVAL_S) -> None:
        self._log = structlog.get_logger(__name__)
        self._interval_s = interval_s
        self._next_at: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def warning(self, now: float, event: str, **fields: object) -> None:
        """Log a warning, unless the same event was logged a moment ago."""
        if self._is_due(now, event):
            self._log.warning(event, **fields, repeated=self._left_out.pop(event, 0))

    def info(self, now: float, event: str, **fields: object) -> None:
        """Log what is no fault, unless the same event was logged a moment ago."""
        if self._is_due(now, event):
            self._log.info(event, **fields, repeated=self._left_out.pop(event, 0))

    def _is_due(self, now: float, event: str) -> bool:
        if now < self._next_at.get(event, float("-inf")):
            self._left_out[event] += 1
            return False
        self._next_at[event] = now + self._interval_s
        return True
