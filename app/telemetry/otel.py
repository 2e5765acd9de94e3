"""Traces by OpenTelemetry, sent to a collector by OTLP over HTTP.

Imported only where traces are asked for: the SDK is an extra. Its own variables configure it
(`OTEL_*`); no provider is set for the whole process, so that no library adds spans of its own,
which may hold addresses with tokens.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
import structlog
from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.telemetry.tracing import Attributes, Span, SpanKind, Tracer

FLUSH_TIMEOUT_S = 2.0
"""Longest wait for the last spans at a stop, which has 5 s for all (`app/serving/process.py`)."""

SERVICE_NAME = "nabra"
"""Unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` has another."""

_KINDS = {
    "server": api.SpanKind.SERVER,
    "client": api.SpanKind.CLIENT,
    "internal": api.SpanKind.INTERNAL,
}

log = structlog.get_logger(__name__)


class OtelSpan(Span):
    """A span of the SDK."""

    def __init__(self, tracer: api.Tracer, span: api.Span, clean: Callable[[str], str]) -> None:
        self._tracer = tracer
        self._span = span
        self._clean = clean
        self._context = span.get_span_context()
        self.trace_id = api.format_trace_id(self._context.trace_id)
        self.is_recorded = span.is_recording()

    @property
    def traceparent(self) -> str:
        """The header by which whoever is asked goes on with this trace."""
        span_id = api.format_span_id(self._context.span_id)
        return f"00-{self.trace_id}-{span_id}-{self._context.trace_flags:02x}"

    def begin(self, name: str, kind: SpanKind, at_s: float) -> "OtelSpan":
        """Begin a span that is a part of this one."""
        parent = api.set_span_in_context(self._span, Context())
        span = self._tracer.start_span(name, parent, _KINDS[kind], start_time=_ns(at_s))
        return OtelSpan(self._tracer, span, self._clean)

    def end(self, at_s: float, attributes: Attributes, *, failure: str | None = None) -> None:
        """End the span; credentials are masked, as in the log."""
        for name, value in attributes.items():
            self._span.set_attribute(name, self._clean(value) if isinstance(value, str) else value)
        if failure is not None:
            self._span.set_status(api.StatusCode.ERROR, self._clean(failure))
        self._span.end(_ns(at_s))


class OtelTracer(Tracer):
    """Begins traces, and sends what has ended from a thread of its own.

    `clean` masks credentials in what others have said. The queue is bounded: what exceeds it is
    dropped, the oldest first.
    """

    def __init__(self, version: str, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._exporter = CollectorExporter()
        self._provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(SERVICE_NAME, version)
        # The exporter tells of failures once; the SDK would each time, and of each span it drops.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def begin(self, name: str, at_s: float, *, cause: str | None) -> OtelSpan:
        """Begin a trace, with a link to the span that has caused it, if there is one.

        It is no part of the client's trace: a session has many turns, and who calls shall neither
        decide what is recorded here nor write into the traces of others.
        """
        links = [] if cause is None else _links(cause)
        span = self._tracer.start_span(
            name, Context(), api.SpanKind.SERVER, links=links, start_time=_ns(at_s)
        )
        return OtelSpan(self._tracer, span, self._clean)

    async def aclose(self) -> None:
        """Send what is left, for `FLUSH_TIMEOUT_S` at most.

        It is done in a thread that does not keep the process: the SDK waits for up to 30 s.
        """
        flushed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def flush() -> None:
            self._provider.shutdown()
            if not loop.is_closed():
                loop.call_soon_threadsafe(flushed.set)

        threading.Thread(target=flush, name="trace-flush", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await flushed.wait()
        except TimeoutError:
            self._exporter.on_failure(f"not sent within {FLUSH_TIMEOUT_S:g} s")
            self._exporter.shutdown()


class CollectorExporter(SpanExporter):
    """Sends spans to the collector; logs when that begins to fail, and when it works again."""

    def __init__(self) -> None:
        self._session = _CollectorSession()
        self._exporter = OTLPSpanExporter(session=self._session)
        self._is_down = False
        self._is_closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, with some retries; those that cannot be sent are lost."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever fails here costs no turn
            self.on_failure(type(error).__name__)
            return SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._on_success()
        else:
            self.on_failure(self._session.failure or "unknown")
        return result

    def on_failure(self, reason: str) -> None:
        """Log a failure that is news."""
        if not self._is_down:
            self._is_down = True
            log.warning("traces cannot be sent", host=self._session.host, reason=reason)

    def shutdown(self) -> None:
        """Give up what is being sent."""
        if not self._is_closed:
            self._is_closed = True
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _on_success(self) -> None:
        if self._is_down:
            self._is_down = False
            log.info("traces are sent again", host=self._session.host)


class _CollectorSession(requests.Session):
    """Remembers why the last request failed, which the exporter only logs."""

    failure: str | None = None
    host: str | None = None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request; an address may hold a credential and is not quoted."""
        self.host = urlsplit(request.url or "").netloc.rpartition("@")[2]
        try:
            response = super().send(request, **kwargs)
        except requests.RequestException as error:
            self.failure = _root_of(error)
            raise
        self.failure = f"HTTP {response.status_code}"
        return response


def _root_of(error: BaseException) -> str:
    """Return what was first: libraries wrap it in errors that quote the address."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, OSError) else kind


def _resource(version: str) -> Resource:
    resource = Resource.create({"service.version": version})
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": SERVICE_NAME}))
    return resource


def _links(traceparent: str) -> list[api.Link]:
    """Return a link to a client's span; none if the header is not valid."""
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
    client = api.get_current_span(context).get_span_context()
    return [api.Link(client)] if client.is_valid else []


def _ns(at_s: float) -> int:
    return int(at_s * 1e9)
