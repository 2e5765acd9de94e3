"""Histograms: their series from the start, and the trace in which a value was seen."""

from contextvars import copy_context

from prometheus_client.core import Metric

from app.telemetry.histogram import Histogram, histogram_metric
from app.telemetry.tracing import current_trace_id

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def metric_of(histogram: Histogram) -> Metric:
    return histogram_metric("h", "A histogram", histogram)


def observe_in_trace(histogram: Histogram, value: float) -> None:
    current_trace_id.set(TRACE_ID)
    histogram.observe(value)


def test_all_series_are_there_before_anything_was_seen() -> None:
    samples = metric_of(Histogram((1.0, 2.0))).samples
    assert {(each.name, *each.labels.values()): each.value for each in samples} == {
        ("h_bucket", "1.0"): 0,
        ("h_bucket", "2.0"): 0,
        ("h_bucket", "+Inf"): 0,
        ("h_count",): 0,
        ("h_sum",): 0,
    }


def test_a_bucket_names_the_trace_of_the_last_value_that_had_one() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(0.5)
    copy_context().run(observe_in_trace, histogram, 1.5)
    histogram.observe(1.7)
    buckets = [s for s in metric_of(histogram).samples if s.name == "h_bucket"]
    assert [each.value for each in buckets] == [1, 3, 3]
    first, second, last = (each.exemplar for each in buckets)
    assert (first, last) == (None, None)
    assert second is not None
    assert (second.labels, second.value) == ({"trace_id": TRACE_ID}, 1.5)
