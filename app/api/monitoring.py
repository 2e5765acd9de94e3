"""What monitoring asks: `/healthz`, `/readyz`, and `/metrics` for Prometheus."""

import asyncio
import platform
from collections.abc import Callable, Iterator, Mapping

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app import __version__
from app.api.access import AccessControl
from app.api.readiness import Readiness
from app.api.sessions import NO_STORE, denial
from app.errors import (
    AccessDeniedError,
    DecoderBusyError,
    EmptyAudioError,
    UndecodableAudioError,
    UtteranceTooLongError,
)
from app.telemetry.counts import counter_metric, gauge_metric

DECODES = (
    *("decoded", "cancelled", "timeout", "died", DecoderBusyError.code, EmptyAudioError.code),
    *(UndecodableAudioError.code, UtteranceTooLongError.code),
)
"""What becomes of a recording."""

BUILD = {"version": __version__, "python": platform.python_version()}


class ProcessStateCollector(Collector):
    """Reads what the process is, and does."""

    def collect(self) -> Iterator[Metric]:
        """Read the state of this moment."""
        yield InfoMetricFamily("nabra_build", "Version", value=BUILD)
        yield GaugeMetricFamily(
            "nabra_tasks", "Tasks of the event loop", value=len(asyncio.all_tasks())
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
        yield gauge_metric(
            "nabra_decoders",
            "Decoder processes by state, and recordings waiting",
            ["state"],
            self._processes(),
        )
        yield counter_metric(
            "nabra_decodes",
            "Recordings that decoder processes were asked for",
            ["outcome"],
            self._outcomes,
            known=DECODES,
        )


class Metrics:
    """The metrics of the gateway and of its process."""

    def __init__(self, *collectors: Collector) -> None:
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def response(self, accept: str = "") -> Response:
        """Return the response to a scrape, in Prometheus's text format or in OpenMetrics.

        `accept` is the header that says which; only OpenMetrics has exemplars.
        """
        encode, content_type = choose_encoder(accept)
        return Response(encode(self._registry), media_type=content_type)


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
    return metrics.response(request.headers.get("accept", ""))
