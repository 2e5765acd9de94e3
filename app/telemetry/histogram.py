"""A histogram: how often a value was within each bound, and in which trace it was seen last.

Not that of prometheus_client, which takes a lock and builds label values for each observation; here
all is one thread, and the series are those of a collector.
"""

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from prometheus_client.core import Exemplar, HistogramMetricFamily, Metric

from app.telemetry.tracing import current_trace_id


class Histogram:
    """Counts values by `bounds`, which ascend; what exceeds the last is counted, too."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._exemplars: dict[int, Exemplar] = {}
        """The last value of each bound that has a trace."""
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value; it belongs to the first bound that it does not exceed."""
        self._sum += value
        at = bisect_left(self._bounds, value)
        self._counts[at] += 1
        if (trace_id := current_trace_id.get()) is not None:
            self._exemplars[at] = Exemplar({"trace_id": trace_id}, value, time.time())

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add the series of these label values to a metric."""
        total = 0
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        bounds = (*map(str, self._bounds), "+Inf")
        for at, (bound, count) in enumerate(zip(bounds, self._counts, strict=True)):
            total += count
            exemplar = self._exemplars.get(at)
            buckets.append((bound, total) if exemplar is None else (bound, total, exemplar))
        family.add_metric(labels, buckets, self._sum)


def histogram_metric(name: str, documentation: str, histogram: Histogram) -> Metric:
    """Return a metric without labels."""
    family = HistogramMetricFamily(name, documentation)
    histogram.add_to(family)
    return family


def labeled_histogram_metric(
    name: str, documentation: str, label: str, histograms: Mapping[str, Histogram]
) -> Metric:
    """Return a metric with one histogram for each value of a label."""
    family = HistogramMetricFamily(name, documentation, labels=[label])
    for value, histogram in histograms.items():
        histogram.add_to(family, [value])
    return family
