"""The routes that each pair of settings gives, and the pairs that are refused."""

from typing import Any

import pytest

from app.errors import ConfigurationError
from app.options import speech_options
from app.settings import Settings
from app.transports.base import TTSTransport
from app.transports.composition import compose, compose_choices
from app.transports.options import SpeechOptions
from app.transports.policy import RouteRole
from tests.transports.fakes import FakeTransport

ONLY, PREFERRED, FALLBACK = RouteRole.ONLY, RouteRole.PREFERRED, RouteRole.FALLBACK


def options(**values: Any) -> SpeechOptions:
    return speech_options(Settings(_env_file=None, **values))  # type: ignore[call-arg]  # pydantic-settings reads it


def find(name: str) -> TTSTransport:
    return FakeTransport([], name)


@pytest.mark.parametrize(
    ("transport", "fallback", "routes"),
    [
        ("websocket", None, [("websocket", PREFERRED), ("rest", FALLBACK)]),
        ("websocket", "rest", [("websocket", PREFERRED), ("rest", FALLBACK)]),
        ("websocket", "none", [("websocket", ONLY)]),
        ("rest", None, [("rest", PREFERRED), ("websocket", FALLBACK)]),
        ("rest", "none", [("rest", ONLY)]),
        ("auto", None, [("websocket", RouteRole.FREE_SOCKET), ("rest", FALLBACK)]),
        ("auto", "none", [("websocket", RouteRole.FREE_SOCKET), ("rest", FALLBACK)]),
        (
            "auto",
            "acme",
            [("websocket", RouteRole.FREE_SOCKET), ("rest", FALLBACK), ("acme", FALLBACK)],
        ),
        ("acme", None, [("acme", ONLY)]),
        ("acme", "none", [("acme", ONLY)]),
        (
            "acme",
            "rest, websocket",
            [("acme", PREFERRED), ("rest", FALLBACK), ("websocket", FALLBACK)],
        ),
    ],
)
def test_each_pair_gives_its_routes_in_order(
    transport: str, fallback: str | None, routes: list[tuple[str, RouteRole]]
) -> None:
    composed = compose(options(tts_transport=transport, tts_fallback=fallback), find)
    assert [(route.transport.name, route.role) for route in composed.routes] == routes


def test_what_a_client_chooses_comes_first_and_the_operators_fallbacks_follow() -> None:
    chosen = options(tts_transport="auto", tts_fallback="acme", allow_client_transport=True)
    choices = compose_choices(chosen, find)
    names = {
        name: [route.transport.name for route in choice.routes] for name, choice in choices.items()
    }
    assert names == {
        "websocket": ["websocket", "rest", "acme"],
        "rest": ["rest", "websocket", "acme"],
        "auto": ["websocket", "rest", "acme"],
        "acme": ["acme"],
    }
    named = options(tts_fallback="acme", allow_client_transport="zeta, acme")
    assert [
        [route.transport.name for route in choice.routes]
        for choice in compose_choices(named, find).values()
    ] == [["zeta", "acme"], ["acme"]]
    assert compose_choices(options(), find) == {}


def test_compositions_share_their_transports() -> None:
    built: dict[str, TTSTransport] = {}

    def find_once(name: str) -> TTSTransport:
        return built.setdefault(name, FakeTransport([], name))

    compose_choices(options(allow_client_transport=True), find_once)
    assert set(built) == {"websocket", "rest"}


@pytest.mark.parametrize(
    ("lookahead", "limit", "sockets"), [(0, 3, 1), (1, 3, 2), (2, 3, 2), (5, 3, 2), (1, 1, 1)]
)
def test_one_opening_of_the_budget_is_left_after_warming_up(
    lookahead: int, limit: int, sockets: int
) -> None:
    chosen = options(tts_lookahead=lookahead, hamsa_connect_limit=limit)
    assert chosen.policy.warm_connections == sockets


@pytest.mark.parametrize(
    ("transport", "fallback", "variable", "allowed"),
    [
        ("websocket", "websocket", "TTS_FALLBACK", "none"),
        ("rest", "rest", "TTS_FALLBACK", "none"),
        ("auto", "rest", "TTS_FALLBACK", "none"),
        ("auto", "websocket", "TTS_FALLBACK", "none"),
        ("acme", "rest, rest", "TTS_FALLBACK", "none"),
        ("auto", "acme, rest", "TTS_FALLBACK", "none"),
    ],
)
def test_a_useless_pair_is_refused_with_what_is_allowed(
    transport: str, fallback: str, variable: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compose(options(tts_transport=transport, tts_fallback=fallback), find)
    assert str(caught.value).startswith(f"{variable}: ")
    assert allowed in str(caught.value)


def test_the_policy_is_taken_from_the_settings() -> None:
    policy = options(tts_attempts=3, tts_deadline_s=7, tts_hedge_after_ms=250).policy
    assert (policy.attempts, policy.deadline_s, policy.hedge_after_s) == (3, 7, 0.25)
    assert options().policy.hedge_after_s is None
