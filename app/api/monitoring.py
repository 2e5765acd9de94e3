"""What monitoring asks: `/healthz`, `/readyz`, and `/metrics` for Prometheus."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app import __version__
from app.api.access import AccessControl
from app.api.readiness import Readiness
from app.api.sessions import NO_STORE, denial
from app.errors import AccessDeniedError
from app.telemetry.speech_metrics import SpeechMetrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus's text format."""


class GatewayCollector(Collector):
    """Reads the current state at each scrape, so that nothing is counted twice."""

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
        """Yield all metrics: one block for each, in the order of the output."""
        yield InfoMetricFamily("nabra_build", "Version", value={"version": __version__})
        sockets = GaugeMetricFamily(
            "nabra_provider_sockets", "Sockets by state, and waiting requests", labels=["state"]
        )
        for state, count in self._sockets().items():
            sockets.add_metric([state], count)
        yield sockets
        attempts = CounterMetricFamily(
            "nabra_tts_attempts", "Attempts to synthesize a sentence", labels=["transport", "fault"]
        )
        for (transport, fault), count in self._speech.attempts.items():
            attempts.add_metric([transport, fault], count)
        yield attempts
        yield GaugeMetricFamily(
            "nabra_tasks", "Tasks of the event loop", value=len(asyncio.all_tasks())
        )
        yield GaugeMetricFamily("nabra_sessions", "Connected clients", value=self._sessions())
        yield CounterMetricFamily(
            "nabra_late_audio_bytes",
            "Audio that arrived after the next sentence had started",
            value=self._speech.late_audio_bytes,
        )


class DecoderCollector(Collector):
    """Reads the state of the processes that decode recordings."""

    def __init__(
        self, processes: Callable[[], Mapping[str, int]], outcomes: Mapping[str, int]
    ) -> None:
        self._processes = processes
        self._outcomes = outcomes

    def collect(self) -> Iterator[Metric]:
        """Tell what there is."""
        processes = GaugeMetricFamily(
            "nabra_decoders", "Decoder processes by state, and recordings waiting", labels=["state"]
        )
        for state, count in self._processes().items():
            processes.add_metric([state], count)
        yield processes
        outcomes = CounterMetricFamily(
            "nabra_decodes", "Recordings that decoder processes were asked for", labels=["outcome"]
        )
        for outcome, count in self._outcomes.items():
            outcomes.add_metric([outcome], count)
        yield outcomes


class Metrics:
    """The metrics of the gateway and of its process."""

    def __init__(self, *collectors: Collector) -> None:
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def response(self) -> Response:
        """Return the response to a scrape."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE)


def make_router() -> APIRouter:
    """Serve `/healthz`, `/readyz` and `/metrics` from `app.state`."""
    router = APIRouter()
    router.add_api_route("/healthz", _healthz)
    router.add_api_route("/readyz", _readyz)
    router.add_api_route("/metrics", _metrics)
    return router


async def _healthz() -> Response:
    return JSONResponse({"status": "ok"})


async def _readyz(request: Request) -> Response:
    readiness: Readiness = request.app.state.readiness
    problem = readiness.check(asyncio.get_running_loop().time())
    if problem is None:
        return JSONResponse({"status": "ready"}, headers=NO_STORE)
    body = {"status": "not-ready", "reason": problem.reason, "message": problem.message}
    return JSONResponse(body, status_code=503, headers=NO_STORE)


async def _metrics(request: Request) -> Response:
    access: AccessControl = request.app.state.access
    try:
        access.check_scrape(request)
    except AccessDeniedError as error:
        return denial(error)
    metrics: Metrics = request.app.state.metrics
    return metrics.response()
