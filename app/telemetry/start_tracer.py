"""Whether traces are asked for, and what keeps them off all the same.

The variables are OpenTelemetry's own (`OTEL_*`), so that whoever knows them knows ours.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import structlog

from app.telemetry.redaction import Redactor
from app.telemetry.tracing import Tracer

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
EXPORTER = "OTEL_TRACES_EXPORTER"
HTTP = "http/protobuf"
DEFAULT_ENDPOINT = "http://localhost:4318"
"""Where the exporter sends spans unless it is told; by OpenTelemetry's specification."""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def tracing(
    environment: Mapping[str, str], version: str, secrets: Iterable[str]
) -> AsyncIterator[Tracer | None]:
    """Give what records traces, and send what is left of them at the end.

    None where nobody asks for traces, or where they cannot be sent: that is one warning, and calls
    are served without. `secrets` are masked in what providers and agents say of failures.
    """
    tracer = start_tracer(environment, version, Redactor(secrets).value)
    try:
        yield tracer
    finally:
        if tracer is not None:
            await tracer.aclose()


def start_tracer(
    environment: Mapping[str, str], version: str, clean: Callable[[str], str]
) -> Tracer | None:
    """Return what records traces, or None. `clean` masks credentials."""
    if not are_wanted(environment):
        return None
    problem = problem_with(environment)
    if problem is None:
        try:
            from app.telemetry.otel import OtelTracer  # noqa: PLC0415 - an extra, and not for all

            tracer = OtelTracer(version, clean)
        except ImportError:
            problem = "OpenTelemetry is not installed: pip install 'nabra[otel]'"
        except Exception as error:  # noqa: BLE001 - a certificate, a number of OTEL_*
            problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        log.warning(f"no traces: {problem}")
        return None
    collector = urlsplit(_endpoint(environment)[1] or DEFAULT_ENDPOINT).netloc.rpartition("@")[2]
    log.info("traces are on", host=collector)
    return tracer


def are_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether a collector is named, or the exporter, and nothing switches traces off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get(EXPORTER, "").strip().lower()
    return exporter != "none" and bool(exporter or _endpoint(environment)[1])


def problem_with(environment: Mapping[str, str]) -> str | None:
    """Return what is wrong, what was read, and what to write; None if nothing is."""
    if (exporter := environment.get(EXPORTER) or "otlp").strip().lower() != "otlp":
        return f"{EXPORTER}: must be otlp or none, got {exporter!r}"
    variable = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    variable = variable if environment.get(variable) else PROTOCOL
    protocol = environment.get(variable) or HTTP
    if protocol != HTTP:
        return (
            f"{variable}: must be {HTTP}, got {protocol!r}; collectors take it on port 4318, "
            "where gRPC has 4317"
        )
    variable, endpoint = _endpoint(environment)
    try:
        url = urlsplit(endpoint or DEFAULT_ENDPOINT)
        is_valid = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError:
        is_valid = False
    return None if is_valid else f"{variable}: must begin with http:// or https://"


def _endpoint(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the variable that names the collector, and its value."""
    own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    variable = own if environment.get(own) else ENDPOINT
    return variable, environment.get(variable, "")
