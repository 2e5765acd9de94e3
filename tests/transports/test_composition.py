"""The routes that each pair of settings gives, and the pairs that are refused."""

from collections.abc import Callable
from typing import Any

import pytest

from app.errors import ConfigurationError
from app.hamsa.rest import HamsaClient
from app.options import speech_options
from app.settings import Settings
from app.transports import registry
from app.transports.base import TTSTransport
from app.transports.composition import (
    ACQUIRE_TIMEOUT_S,
    QUICK_ACQUIRE_TIMEOUT_S,
    check,
    compose,
)
from app.transports.options import SpeechOptions, StreamLimits
from app.transports.registry import TransportContext
from tests.hamsa.pools import running_pool
from tests.scripted import scripted_provider, stays_open
from tests.transports.contexts import unreachable_context
from tests.transports.fakes import FakeTransport
from tests.waiting import until

POOL_LIMIT = None
"""The pool's own limit of the wait for a socket."""

BuiltTransport = tuple[str, float | None, bool]
"""Name, longest wait for a socket in seconds, and whether one may be opened."""


def options(**values: Any) -> SpeechOptions:
    return speech_options(Settings(_env_file=None, **values))  # type: ignore[call-arg]  # pydantic-settings reads it


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[BuiltTransport]:
    """The transports that are built, in order."""
    transports: list[BuiltTransport] = []

    def builder(name: str) -> Callable[[TransportContext], TTSTransport]:
        def build(context: TransportContext) -> TTSTransport:
            transports.append((name, context.acquire_timeout_s, context.allow_connect))
            return FakeTransport([], name)

        return build

    monkeypatch.setattr(registry, "find", builder)
    return transports


@pytest.mark.parametrize(
    ("transport", "fallback", "routes"),
    [
        (
            "websocket",
            None,
            [("websocket", ACQUIRE_TIMEOUT_S, True), ("rest", QUICK_ACQUIRE_TIMEOUT_S, True)],
        ),
        (
            "websocket",
            "rest",
            [("websocket", ACQUIRE_TIMEOUT_S, True), ("rest", QUICK_ACQUIRE_TIMEOUT_S, True)],
        ),
        ("websocket", "none", [("websocket", POOL_LIMIT, True)]),
        (
            "rest",
            None,
            [("rest", ACQUIRE_TIMEOUT_S, True), ("websocket", QUICK_ACQUIRE_TIMEOUT_S, True)],
        ),
        (
            "rest",
            "websocket",
            [("rest", ACQUIRE_TIMEOUT_S, True), ("websocket", QUICK_ACQUIRE_TIMEOUT_S, True)],
        ),
        ("rest", "none", [("rest", POOL_LIMIT, True)]),
        ("auto", None, [("websocket", QUICK_ACQUIRE_TIMEOUT_S, False), ("rest", POOL_LIMIT, True)]),
        (
            "auto",
            "none",
            [("websocket", QUICK_ACQUIRE_TIMEOUT_S, False), ("rest", POOL_LIMIT, True)],
        ),
        ("acme", None, [("acme", POOL_LIMIT, True)]),
        ("acme", "none", [("acme", POOL_LIMIT, True)]),
        (
            "acme",
            "rest",
            [("acme", ACQUIRE_TIMEOUT_S, True), ("rest", QUICK_ACQUIRE_TIMEOUT_S, True)],
        ),
        (
            "acme",
            "websocket",
            [("acme", ACQUIRE_TIMEOUT_S, True), ("websocket", QUICK_ACQUIRE_TIMEOUT_S, True)],
        ),
    ],
)
async def test_each_pair_gives_its_routes_in_order(
    transport: str, fallback: str | None, routes: list[BuiltTransport], built: list[BuiltTransport]
) -> None:
    async with unreachable_context() as context:
        composed = compose(options(tts_transport=transport, tts_fallback=fallback), context)
    assert built == routes
    assert [route.transport.name for route in composed.routes] == [name for name, *_ in routes]


@pytest.mark.parametrize(
    ("lookahead", "limit", "sockets"), [(0, 3, 1), (1, 3, 2), (2, 3, 2), (5, 3, 2), (1, 1, 1)]
)
def test_one_opening_of_the_budget_is_left_after_warming_up(
    lookahead: int, limit: int, sockets: int
) -> None:
    chosen = options(tts_lookahead=lookahead, hamsa_connect_limit=limit)
    assert chosen.warm_connections == sockets


@pytest.mark.parametrize(("transport", "sockets"), [("websocket", 2), ("auto", 2), ("rest", 1)])
async def test_sockets_are_opened_for_all_sentences_that_are_made_at_once(
    transport: str, sockets: int
) -> None:
    async with scripted_provider(stays_open) as provider, running_pool(provider.url) as pool:
        client = HamsaClient("http://127.0.0.1:9", "key", connect_timeout_s=1)
        context = TransportContext(StreamLimits(), pool, client)
        for route in compose(options(tts_transport=transport), context).routes:
            if route.transport.name == "websocket":
                await route.transport.warm_up()
        await until(lambda: not pool.counts()["opening"], state=pool)
        assert pool.opened == sockets
        await client.aclose()


@pytest.mark.parametrize("transport", ["websocket", "rest", "auto"])
async def test_both_routes_are_warmed_up(transport: str, built: list[BuiltTransport]) -> None:
    async with unreachable_context() as context:
        composed = compose(options(tts_transport=transport), context)
    await composed.warm_up()
    routes = [route.transport for route in composed.routes]
    assert [route.warmed for route in routes if isinstance(route, FakeTransport)] == [1, 1]


@pytest.mark.parametrize(
    ("transport", "fallback", "variable", "allowed"),
    [
        ("sockets", None, "TTS_TRANSPORT", "websocket, rest"),
        ("sockets", "rest", "TTS_TRANSPORT", "websocket, rest"),
        ("websocket", "websocket", "TTS_FALLBACK", "none"),
        ("rest", "rest", "TTS_FALLBACK", "none"),
        ("auto", "rest", "TTS_FALLBACK", "none"),
        ("auto", "websocket", "TTS_FALLBACK", "none"),
        ("none", None, "TTS_TRANSPORT", "websocket, rest"),
    ],
)
async def test_a_useless_pair_is_refused_with_what_is_allowed(
    transport: str, fallback: str | None, variable: str, allowed: str
) -> None:
    wrong = options(tts_transport=transport, tts_fallback=fallback)
    with pytest.raises(ConfigurationError) as caught:
        check(wrong)
    assert str(caught.value).startswith(f"{variable}: ")
    assert allowed in str(caught.value)
    async with unreachable_context() as context:
        with pytest.raises(ConfigurationError):
            compose(wrong, context)


def test_the_policy_is_taken_from_the_settings() -> None:
    policy = options(tts_attempts=3, tts_deadline_s=7, tts_hedge_after_ms=250).policy
    assert (policy.attempts, policy.deadline_s, policy.hedge_after_s) == (3, 7, 0.25)
    assert options().policy.hedge_after_s is None
