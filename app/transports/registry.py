"""Transports by name: the built-in ones, and those of installed packages.

A package adds a transport by an entry point in the group `nabra.tts_transports`, which names a
callable `(TransportContext) -> TTSTransport`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from app.errors import ConfigurationError
from app.hamsa.pool import ConnectionPool
from app.hamsa.rest import HamsaClient
from app.transports.base import TTSTransport
from app.transports.options import StreamLimits
from app.transports.rest import RestTransport
from app.transports.websocket import WebSocketTransport

GROUP = "nabra.tts_transports"


@dataclass(frozen=True, slots=True)
class TransportContext:
    """What a transport is built from: its limits, and what the whole process shares."""

    limits: StreamLimits
    pool: ConnectionPool
    client: HamsaClient
    acquire_timeout_s: float | None = None
    """Longest wait for a socket, in seconds; None is the limit of the pool."""
    allow_connect: bool = True
    """Whether a socket may be opened for a request that gets none."""
    warm_connections: int = 1
    """How many sockets are opened ahead of need."""


Factory = Callable[[TransportContext], TTSTransport]


def _websocket(context: TransportContext) -> TTSTransport:
    return WebSocketTransport(
        context.pool,
        first_audio_timeout_s=context.limits.first_audio_timeout_s,
        stall_timeout_s=context.limits.stall_timeout_s,
        linger_s=context.limits.linger_s,
        max_ms_per_char=context.limits.max_ms_per_char,
        acquire_timeout_s=context.acquire_timeout_s,
        allow_connect=context.allow_connect,
        warm_connections=context.warm_connections,
    )


def _rest(context: TransportContext) -> TTSTransport:
    return RestTransport(
        context.client,
        first_audio_timeout_s=context.limits.first_audio_timeout_s,
        stall_timeout_s=context.limits.stall_timeout_s,
        max_ms_per_char=context.limits.max_ms_per_char,
    )


BUILT_IN: dict[str, Factory] = {"websocket": _websocket, "rest": _rest}


def find(name: str) -> Factory:
    """Return the factory of the transport of this name.

    Raises `ConfigurationError` for an unknown name or an unusable plug-in. The factory of a plug-in
    raises it, too, when it builds something else than a transport.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in installed:
        known = ", ".join([*BUILT_IN, "auto", *sorted(installed)])
        raise ConfigurationError(f"TTS_TRANSPORT: {name!r} is unknown; allowed: {known}")
    return _load_plug_in(installed[name])


def _load_plug_in(entry: EntryPoint) -> Factory:
    """Load a plug-in. Its mistakes must be found at the start, not during the first call.

    Built-in names are looked up before, so a plug-in cannot replace a built-in transport.
    """
    plug_in = f"TTS_TRANSPORT: plug-in {entry.name!r}"
    try:
        factory = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{plug_in} cannot be loaded: {error}") from error
    if not callable(factory):
        raise ConfigurationError(f"{plug_in} must name a callable, got {entry.value}")

    def build(context: TransportContext) -> TTSTransport:
        transport = factory(context)
        if not isinstance(transport, TTSTransport):
            built = type(transport).__name__
            raise ConfigurationError(f"{plug_in} must build a TTSTransport, got {built}")
        return transport

    return build
