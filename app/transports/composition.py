"""Which routes a sentence may take: composes transports as the operator has chosen."""

from dataclasses import replace
from typing import Literal

from app.errors import ConfigurationError
from app.transports import registry
from app.transports.options import SpeechOptions
from app.transports.registry import TransportContext
from app.transports.resilient import ResilientTransport

CLIENT_CHOICES = ("websocket", "rest", "auto")
"""The transports that a client may choose between."""

DEFAULT_FALLBACKS = {"websocket": "rest", "rest": "websocket"}

ACQUIRE_TIMEOUT_S = 0.25
"""Longest wait for a socket over the preferred route.

Less than the other route needs for its first audio (`docs/hamsa.md`, Timing).
"""

QUICK_ACQUIRE_TIMEOUT_S = 0.02
"""Longest wait for a socket where only one that is free now is of use.

It leaves time to cancel a linger on a busy loop. As a fallback, a socket that must be opened first
is slower than another attempt by REST.
"""

STT_ACQUIRE_TIMEOUT_S = 2.0
"""Longest wait of an utterance for a socket.

A transcript takes about as long, and a handshake 1.2 s (`docs/hamsa.md`, Timing).
"""


def check(options: SpeechOptions) -> None:
    """Raise `ConfigurationError` for an unknown transport or a useless fallback."""
    chosen, fallback = options.transport, options.fallback
    if chosen != "auto":
        registry.find(chosen)
    elif fallback not in (None, "none"):
        raise ConfigurationError(
            f"TTS_FALLBACK: TTS_TRANSPORT=auto uses socket and REST already, got {fallback!r}; "
            "write none, or leave it out"
        )
    if fallback == chosen:
        raise ConfigurationError(
            f"TTS_FALLBACK: must differ from TTS_TRANSPORT, both are {chosen!r}; write none for no "
            "fallback"
        )


def compose(options: SpeechOptions, context: TransportContext) -> ResilientTransport:
    """Build the transport of this process.

    `auto` prefers a socket that is free now, and never waits for one to be opened. Raises
    `ConfigurationError` as `check` does.
    """
    check(options)
    chosen = options.transport
    fallback = options.fallback or DEFAULT_FALLBACKS.get(chosen, "none")
    preferred = replace(context, warm_connections=options.warm_connections)
    if chosen == "auto":
        free_socket = replace(
            preferred, acquire_timeout_s=QUICK_ACQUIRE_TIMEOUT_S, allow_connect=False
        )
        routes = [("websocket", free_socket), ("rest", context)]
    elif fallback == "none":
        routes = [(chosen, preferred)]
    else:
        routes = [
            (chosen, replace(preferred, acquire_timeout_s=ACQUIRE_TIMEOUT_S)),
            (fallback, replace(context, acquire_timeout_s=QUICK_ACQUIRE_TIMEOUT_S)),
        ]
    transports = [registry.find(name)(route_context) for name, route_context in routes]
    return ResilientTransport(transports, options.policy)


def compose_choices(
    options: SpeechOptions, context: TransportContext
) -> dict[str, ResilientTransport]:
    """Build the transports that a client may choose, by name; none unless it may choose.

    They share the pool, and differ in which transport they prefer.
    """
    if not options.allow_client_choice:
        return {}
    fallback: Literal["none"] | None = "none" if options.fallback == "none" else None
    return {
        name: compose(replace(options, transport=name, fallback=fallback), context)
        for name in CLIENT_CHOICES
    }
