"""Which routes a sentence may take: composes transports as the operator has chosen."""

from collections.abc import Callable
from dataclasses import replace

from app.errors import ConfigurationError
from app.telemetry.availability import Availability, transport_availability
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import TTSTransport
from app.transports.options import SpeechOptions
from app.transports.policy import RouteRole
from app.transports.resilient import ResilientTransport

AUTO = "auto"
"""The choice of a socket that is free now, else REST: it never waits for one to be opened."""

AUTO_TRANSPORTS = ("websocket", "rest")

DEFAULT_CHOICE = ("true",)
"""The choice of a client between socket, REST, `auto` and what the operator has named."""

DEFAULT_FALLBACKS = {"websocket": ("rest",), "rest": ("websocket",)}

FindTransport = Callable[[str], TTSTransport]
"""Returns the transport of a name, which all compositions share."""


def route_names(options: SpeechOptions) -> tuple[str, ...]:
    """Return the transports of the operator's choice, in their order.

    Raises `ConfigurationError` for a fallback that is tried already.
    """
    chosen = options.transport
    first = AUTO_TRANSPORTS if chosen == AUTO else (chosen,)
    fallbacks = options.fallbacks
    if fallbacks is None:
        fallbacks = DEFAULT_FALLBACKS.get(chosen, ())
    names = (*first, *fallbacks)
    for number, name in enumerate(fallbacks, start=len(first)):
        if name not in names[:number]:
            continue
        if chosen == AUTO and name in first:
            raise ConfigurationError(
                f"TTS_FALLBACK: TTS_TRANSPORT=auto uses socket and REST already, got {name!r}; "
                "write none, another transport, or leave it out"
            )
        raise ConfigurationError(
            f"TTS_FALLBACK: must differ from TTS_TRANSPORT, and name each transport once, got "
            f"{name!r} again; write none for no fallback"
        )
    return names


def compose(
    options: SpeechOptions,
    find: FindTransport,
    metrics: SpeechMetrics | None = None,
    availability: dict[str, Availability] | None = None,
) -> ResilientTransport:
    """Build what speaks over the transports of the operator's choice.

    Compositions that share transports share `availability`, by name; what is missing is added.
    """
    transports = [find(name) for name in route_names(options)]
    availability = {} if availability is None else availability
    for transport in transports:
        availability.setdefault(transport.name, transport_availability(transport.name))
    roles = [RouteRole.FALLBACK] * len(transports)
    roles[0] = RouteRole.PREFERRED if len(transports) > 1 else RouteRole.ONLY
    if options.transport == AUTO:
        roles[0] = RouteRole.FREE_SOCKET
    return ResilientTransport(
        transports, options.policy, roles=roles, metrics=metrics, availability=availability
    )


def choice_names(options: SpeechOptions) -> tuple[str, ...]:
    """Return what a client may choose."""
    if options.client_choices != DEFAULT_CHOICE:
        return tuple(dict.fromkeys(options.client_choices))
    return tuple(dict.fromkeys((*AUTO_TRANSPORTS, AUTO, *route_names(options))))


def compose_choices(
    options: SpeechOptions,
    find: FindTransport,
    metrics: SpeechMetrics | None = None,
    availability: dict[str, Availability] | None = None,
) -> dict[str, ResilientTransport]:
    """Build what a client may choose, by name.

    They share the transports, and differ in which is preferred. What the operator wrote as
    fallbacks follows each of them.
    """
    availability = {} if availability is None else availability
    return {
        name: compose(_with_choice(options, name), find, metrics, availability)
        for name in choice_names(options)
    }


def _with_choice(options: SpeechOptions, name: str) -> SpeechOptions:
    if not options.fallbacks:
        return replace(options, transport=name)
    first = AUTO_TRANSPORTS if name == AUTO else (name,)
    fallbacks = dict.fromkeys((*DEFAULT_FALLBACKS.get(name, ()), *options.fallbacks))
    remaining = tuple(each for each in fallbacks if each not in first)
    return replace(options, transport=name, fallbacks=remaining)
