"""Counts by label values, as Prometheus reads them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Labels = str | tuple[str, ...]
"""The value of one label, or of several."""

L = TypeVar("L", str, tuple[str, str], Labels)


def counter_metric(
    name: str,
    documentation: str,
    labels: Sequence[str],
    counts: Mapping[L, float],
    *,
    known: Iterable[L] = (),
) -> Metric:
    """Return a counter with one series for each item of `counts`, and of `known`, at 0."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    return _with_series(family, {**dict.fromkeys(known, 0), **counts})


def gauge_metric(
    name: str, documentation: str, labels: Sequence[str], counts: Mapping[L, float]
) -> Metric:
    """Return a gauge with one series for each item of `counts`."""
    return _with_series(GaugeMetricFamily(name, documentation, labels=labels), counts)


def _with_series(
    family: CounterMetricFamily | GaugeMetricFamily, counts: Mapping[L, float]
) -> Metric:
    for values, count in counts.items():
        family.add_metric([values] if isinstance(values, str) else values, count)
    return family
