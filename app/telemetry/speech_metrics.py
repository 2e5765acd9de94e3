"""What the synthesis attempts of one process came to, for Prometheus."""

from collections import Counter
from collections.abc import Iterator
from itertools import product

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from app.errors import PoolExhaustedError, ProviderError, codes_below
from app.telemetry.counts import counter_metric
from app.telemetry.histogram import Histogram, labeled_histogram_metric

BUCKETS_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""First audio of the provider: 300 to 500 ms on a good day (`docs/hamsa.md`, Timing)."""

OUTCOMES = ("none", "abandoned", *codes_below(ProviderError, PoolExhaustedError))
"""What an attempt may come to. One that gets no socket is none, and is not counted."""


class SpeechMetrics(Collector):
    """Counts synthesis attempts and late audio. All sessions share one object."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()
        """Attempts by transport and outcome: the error code, `none` for success, `abandoned` for
        one that was cancelled."""
        self.late_audio_bytes = 0
        """Audio that arrived after the next sentence had started, and was dropped."""
        self._first_byte_s: dict[str, Histogram] = {}

    def add_transport(self, name: str) -> None:
        """Show a transport from the start, before it is used."""
        self._first_byte_s.setdefault(name, Histogram(BUCKETS_S))

    def on_attempt(self, transport: str, outcome: str, ttfb_ms: float | None) -> None:
        """Count an attempt that has ended; `ttfb_ms` is None if it had no audio."""
        self.attempts[transport, outcome] += 1
        if ttfb_ms is not None:
            histogram = self._first_byte_s.setdefault(transport, Histogram(BUCKETS_S))
            histogram.observe(ttfb_ms / 1000)

    def collect(self) -> Iterator[Metric]:
        """Show all to Prometheus."""
        yield counter_metric(
            "nabra_tts_attempts",
            "Attempts to synthesize a sentence",
            ["transport", "fault"],
            self.attempts,
            known=product(self._first_byte_s, OUTCOMES),
        )
        yield labeled_histogram_metric(
            "nabra_tts_first_byte_seconds",
            "Request sent to first audio of an attempt",
            "transport",
            self._first_byte_s,
        )
        yield CounterMetricFamily(
            "nabra_late_audio_bytes",
            "Audio that arrived after the next sentence had started",
            value=self.late_audio_bytes,
        )
