"""Which ways a sentence may take: transports compose, they are not configured."""

from dataclasses import replace

from app.errors import ConfigurationError
from app.settings import Settings
from app.transports import registry
from app.transports.policy import Policy
from app.transports.registry import TransportContext
from app.transports.resilient import ResilientTransport

BY_NAME = ("websocket", "rest", "auto")
"""What a client may choose between."""

OTHER = {"websocket": "rest", "rest": "websocket"}

PATIENCE_S = 0.25
"""How long a sentence waits for a socket when it could go another way: less than the other way
needs for its first audio."""

QUICK_PATIENCE_S = 0.02
"""The same when only a socket that is free now counts: time to end a linger, on a busy loop. As the
other way, a socket that must be opened first comes later than another answer over REST."""

STT_PATIENCE_S = 2.0
"""The same for a transcript, which takes so long: a handshake of 1.2 s, and some."""


def check(settings: Settings) -> None:
    """Raise `ConfigurationError` for a transport that there is not, or ways that make no sense."""
    chosen, fallback = settings.tts_transport, settings.tts_fallback
    if chosen != "auto":
        registry.find(chosen)
    elif fallback not in (None, "none"):
        raise ConfigurationError("TTS_FALLBACK: TTS_TRANSPORT=auto has both ways; allowed: none")
    if fallback == chosen:
        raise ConfigurationError("TTS_FALLBACK: must differ from TTS_TRANSPORT; or use none")


def compose(context: TransportContext) -> ResilientTransport:
    """Build the transport of this process. Raises `ConfigurationError` as `check` does."""
    check(context.settings)
    chosen = context.settings.tts_transport
    fallback = context.settings.tts_fallback or OTHER.get(chosen, "none")
    preferred = replace(context, warm_connections=warm_connections(context.settings))
    if chosen == "auto":
        free_socket = replace(preferred, patience_s=QUICK_PATIENCE_S, may_open=False)
        ways = [("websocket", free_socket), ("rest", context)]
    elif fallback == "none":
        ways = [(chosen, preferred)]
    else:
        ways = [
            (chosen, replace(preferred, patience_s=PATIENCE_S)),
            (fallback, replace(context, patience_s=QUICK_PATIENCE_S)),
        ]
    transports = [registry.find(name)(its_context) for name, its_context in ways]
    return ResilientTransport(transports, policy_of(context.settings))


def compose_choices(context: TransportContext) -> dict[str, ResilientTransport]:
    """Build what a client may choose, by name; nothing unless it may.

    They share the pool, and differ in which way goes first.
    """
    settings = context.settings
    if not settings.allow_client_transport:
        return {}
    fallback = "none" if settings.tts_fallback == "none" else None
    return {
        name: compose(
            replace(
                context,
                settings=settings.model_copy(
                    update={"tts_transport": name, "tts_fallback": fallback}
                ),
            )
        )
        for name in BY_NAME
    }


def warm_connections(settings: Settings) -> int:
    """Return how many sockets one answer keeps busy: for what is heard, and what is made ahead.

    One opening of the budget is left for when one of them fails.
    """
    return max(1, min(1 + settings.tts_lookahead, settings.hamsa_connect_limit - 1))


def policy_of(settings: Settings) -> Policy:
    """Return how hard to try."""
    hedge_ms = settings.tts_hedge_after_ms
    return Policy(
        attempts=settings.tts_attempts,
        deadline_s=settings.tts_deadline_s,
        hedge_after_s=hedge_ms / 1000 if hedge_ms else None,
    )
