"""The process: listens on the port, runs the application, ends on a signal."""

import ctypes
import gc
import socket

import structlog
import uvicorn
from fastapi import FastAPI

from app.env_file import ENV_FILE, export_variables
from app.errors import ConfigurationError
from app.main import create_app
from app.options import secrets_of
from app.serving.admission import (
    Admission,
    AdmissionCollector,
    ConnectionLimits,
    connections_for,
    raise_descriptor_limit,
)
from app.serving.http_protocol import MAX_HEAD_BYTES, bounded_protocols
from app.serving.server import DrainingServer
from app.serving.start_checks import checked_settings, start_warnings
from app.serving.start_log import log_start, refuse_start, requested_format
from app.settings import Settings
from app.strategies import plug_in_secrets
from app.telemetry import logs

log = structlog.get_logger(__name__)

GRACE_S = 5
"""How long a stop waits, after the drain, for open connections to close."""

GC_THRESHOLD = 10_000
"""New objects between two garbage collections: a sentence makes thousands, few of them in cycles
(`docs/decisions/`)."""

BACKLOG = 2048
"""Connections that may wait to be accepted: a burst of callers, and uvicorn's own default. Less
where files are few: all that wait are accepted at once."""


M_MMAP_THRESHOLD = -3
"""glibc's number of the option."""

MMAP_THRESHOLD_BYTES = 128 * 1024
"""Blocks from this size are given back to the system when they are freed: where glibc itself
begins. With 1 MiB, what 150 rude clients had sent in pieces left twice as much memory behind."""


def serve() -> None:
    """Run the gateway until a signal has stopped it; exit with one line if it cannot start."""
    log_format = requested_format()
    if log_format == "json":
        logs.configure("info", log_format, is_final=False)
        logs.own_process()
    try:
        settings, plug_ins = checked_settings()
    except ConfigurationError as error:
        message = "nabra cannot start"
        refuse_start(log_format, message, str(error).splitlines(), f"{message}:\n{error}")
    export_variables(ENV_FILE, "OTEL_")
    secrets = [*secrets_of(settings), *plug_in_secrets(plug_ins)]
    logs.configure(settings.log_level, settings.log_format, secrets=secrets)
    for warning in start_warnings(settings):
        log.warning(warning)
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        address = f"{settings.host}:{settings.port}"
        reason = str(error.strerror).partition(" (while")[0]  # which repeats the address
        message = f"nabra cannot listen on {address} (HOST, PORT)"
        refuse_start(log_format, message, [reason], f"{message}: {reason}")
    log_start(settings)
    admission = Admission(connection_limits(settings))
    address = address_of(listener) + settings.root_path
    app = create_app(settings, address, [AdmissionCollector(admission)], plug_ins=plug_ins)
    config = server_config(app, settings, admission)
    config.load()
    # What was built so far stays. Collecting it again and again costs CPU, and pauses that callers
    # hear. From here on, garbage is what sessions leave.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    give_back_large_blocks()
    with listener:
        DrainingServer(config, app.state.drain).run(sockets=[listener])


def give_back_large_blocks() -> None:
    """Keep glibc from retaining recordings: it raises its threshold to the largest block it freed.

    Other C libraries have no `mallopt`, and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


def listen(host: str, port: int) -> socket.socket:
    """Listen on the port, before anything else starts. Raises `OSError` if it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def address_of(listener: socket.socket) -> str:
    """Return the URL for a browser; localhost if the gateway listens on all interfaces."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def connection_limits(settings: Settings) -> ConnectionLimits:
    """Return the bounds on connections; their number is at most what the system's files bear."""
    descriptors = raise_descriptor_limit()
    return ConnectionLimits(
        max_connections=min(settings.max_connections, connections_for(descriptors)),
        handshake_timeout_s=settings.handshake_timeout_s,
        message_timeout_s=settings.message_timeout_s,
        messages_per_s=settings.max_messages_per_s,
        max_buffered_bytes=settings.max_buffered_bytes,
    )


def server_config(app: FastAPI, settings: Settings, admission: Admission) -> uvicorn.Config:
    """Return the server's configuration, without compression: audio does not compress."""
    http, websocket = bounded_protocols(admission)
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=http,
        ws=websocket,
        backlog=min(BACKLOG, admission.limits.max_connections),
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws_per_message_deflate=False,
        # base64 adds a third; a half more, so that what is somewhat too long gets an `error`, and
        # only what is absurd costs the connection (1009)
        ws_max_size=settings.max_utterance_bytes * 2 + 65536,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
