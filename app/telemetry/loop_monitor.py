"""How late the event loop is: nothing that strangers send may hold it, and this shows whether."""

import asyncio
from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.telemetry.histogram import Histogram, histogram_metric
from app.telemetry.log_limiter import LogLimiter

INTERVAL_S = 0.1
"""Time between two looks: ten timers a second cost nothing, and a stall of 50 ms is seen in every
second case."""

LONG_S = 0.25
"""Lag that is worth a line: callers hear it."""

BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class LoopMonitor(Collector):
    """Asks for a timer every `INTERVAL_S`, and measures how late it comes."""

    def __init__(self) -> None:
        self._lag_s = Histogram(BUCKETS_S)
        self._timer: asyncio.TimerHandle | None = None
        self._log = LogLimiter()

    def start(self) -> None:
        """Begin to measure the running loop."""
        self._schedule(asyncio.get_running_loop())

    def close(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def collect(self) -> Iterator[Metric]:
        """Show the lag to Prometheus."""
        yield histogram_metric(
            "nabra_event_loop_lag_seconds",
            "How late the event loop comes to its timers",
            self._lag_s,
        )

    def observe(self, lag_s: float, now: float) -> None:
        """Count one look."""
        self._lag_s.observe(lag_s)
        if lag_s >= LONG_S:
            self._log.warning(now, "event loop stalled", lag_ms=round(lag_s * 1000))

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due_at = loop.time() + INTERVAL_S
        self._timer = loop.call_at(due_at, self._look, loop, due_at)

    def _look(self, loop: asyncio.AbstractEventLoop, due_at: float) -> None:
        now = loop.time()
        self.observe(max(0.0, now - due_at), now)
        self._schedule(loop)
