"""Which ways a sentence may take: transports compose, they are not configured."""

from dataclasses import replace
from typing import Literal

from app.errors import ConfigurationError
from app.transports import registry
from app.transports.options import SpeechOptions
from app.transports.registry import TransportContext
from app.transports.resilient import ResilientTransport

BY_NAME = ("websocket", "rest", "auto")
"""What a client may choose between."""

OTHER = {"websocket": "rest", "rest": "websocket"}

ACQUIRE_TIMEOUT_S = 0.25
"""How long a sentence waits for a socket when it could go another way: less than the other way
needs for its first audio."""

QUICK_ACQUIRE_TIMEOUT_S = 0.02
"""The same when only a socket that is free now counts: time to end a linger, on a busy loop. As the
other way, a socket that must be opened first comes later than another answer over REST."""

STT_ACQUIRE_TIMEOUT_S = 2.0
"""The same for a transcript, which takes so long: a handshake of 1.2 s, and some."""


def check(options: SpeechOptions) -> None:
    """Raise `ConfigurationError` for an unknown transport, or a pair that makes no sense."""
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
    """Build the transport of this process. Raises `ConfigurationError` as `check` does."""
    check(options)
    chosen = options.transport
    fallback = options.fallback or OTHER.get(chosen, "none")
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
    transports = [registry.find(name)(its_context) for name, its_context in routes]
    return ResilientTransport(transports, options.policy)


def compose_choices(
    options: SpeechOptions, context: TransportContext
) -> dict[str, ResilientTransport]:
    """Build what a client may choose, by name; nothing unless it may.

    The choices share the pool, and differ in which transport is preferred.
    """
    if not options.allow_client_choice:
        return {}
    fallback: Literal["none"] | None = "none" if options.fallback == "none" else None
    return {
        name: compose(replace(options, transport=name, fallback=fallback), context)
        for name in BY_NAME
    }
