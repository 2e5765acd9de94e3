"""`/metrics`: the live state of the pool and what the provider did, for Prometheus."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from app.telemetry.speech_metrics import SpeechMetrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ProviderCollector(Collector):
    """Reads the state at the moment it is asked, so that nothing is counted twice."""

    def __init__(
        self,
        sockets: Callable[[], Mapping[str, int]],
        speech: SpeechMetrics,
        sessions: Callable[[], int],
    ) -> None:
        self._sockets = sockets
        self._speech = speech
        self._sessions = sessions

    def collect(self) -> Iterator[Metric]:
        """Tell what there is."""
        sockets = GaugeMetricFamily(
            "nabra_provider_sockets", "Sockets by state, and requests that wait", labels=["state"]
        )
        for state, count in self._sockets().items():
            sockets.add_metric([state], count)
        yield sockets
        attempts = CounterMetricFamily(
            "nabra_tts_attempts", "Attempts at a sentence", labels=["transport", "fault"]
        )
        for (transport, fault), count in self._speech.attempts.items():
            attempts.add_metric([transport, fault], count)
        yield attempts
        yield GaugeMetricFamily(
            "nabra_tasks", "Tasks of the event loop", value=len(asyncio.all_tasks())
        )
        yield GaugeMetricFamily("nabra_sessions", "Clients that are here", value=self._sessions())
        yield CounterMetricFamily(
            "nabra_late_audio_bytes",
            "Audio that came when its turn had passed",
            value=self._speech.late_audio_bytes,
        )


class Metrics:
    """The numbers of one process; with those that the system knows of it."""

    def __init__(
        self,
        sockets: Callable[[], Mapping[str, int]],
        speech: SpeechMetrics,
        sessions: Callable[[], int],
        collectors: Sequence[Collector] = (),
    ) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProviderCollector(sockets, speech, sessions), *collectors):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def response(self) -> Response:
        """Answer a scrape."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE)
