"""A histogram: how often a value was within each bound."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from prometheus_client.core import HistogramMetricFamily, Metric


class Histogram:
    """Counts values by `bounds`, which ascend; what exceeds the last is counted, too."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value; it belongs to the first bound that it does not exceed."""
        self._sum += value
        self._counts[bisect_left(self._bounds, value)] += 1

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add the series of these label values to a metric."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
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
