"""Which ways each pair of settings gives, and which pairs make no sense."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
from tests.scripted import forever, scripted_provider
from tests.transports.fakes import FakeTransport

LIMIT = None
"""The pool's own patience."""

Route = tuple[str, float | None, bool]
"""Name, patience in seconds, and whether a socket may be opened for it."""


def options(**values: Any) -> SpeechOptions:
    return speech_options(Settings(_env_file=None, **values))  # type: ignore[call-arg]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Route]:
    """Collect what is built, in order."""
    routes: list[Route] = []

    def builder(name: str) -> Callable[[TransportContext], TTSTransport]:
        def build(context: TransportContext) -> TTSTransport:
            routes.append((name, context.acquire_timeout_s, context.allow_connect))
            return FakeTransport([], name)

        return build

    monkeypatch.setattr(registry, "find", builder)
    return routes


@asynccontextmanager
async def context() -> AsyncIterator[TransportContext]:
    async with running_pool("ws://127.0.0.1:9") as pool:
        client = HamsaClient("http://127.0.0.1:9", "key", connect_timeout_s=1)
        yield TransportContext(StreamLimits(), pool, client)
        await client.aclose()


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
        ("websocket", "none", [("websocket", LIMIT, True)]),
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
        ("rest", "none", [("rest", LIMIT, True)]),
        ("auto", None, [("websocket", QUICK_ACQUIRE_TIMEOUT_S, False), ("rest", LIMIT, True)]),
        ("auto", "none", [("websocket", QUICK_ACQUIRE_TIMEOUT_S, False), ("rest", LIMIT, True)]),
        ("acme", None, [("acme", LIMIT, True)]),
        ("acme", "none", [("acme", LIMIT, True)]),
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
async def test_each_pair_gives_its_ways_in_order(
    transport: str, fallback: str | None, routes: list[Route], built: list[Route]
) -> None:
    async with context() as its:
        composed = compose(options(tts_transport=transport, tts_fallback=fallback), its)
    assert built == routes
    assert [route.transport.name for route in composed.routes] == [name for name, *_ in routes]


@pytest.mark.parametrize(
    ("lookahead", "limit", "sockets"), [(0, 3, 1), (1, 3, 2), (2, 3, 2), (5, 3, 2), (1, 1, 1)]
)
def test_one_opening_of_the_budget_is_left_when_all_is_warm(
    lookahead: int, limit: int, sockets: int
) -> None:
    chosen = options(tts_lookahead=lookahead, hamsa_connect_limit=limit)
    assert chosen.warm_connections == sockets


@pytest.mark.parametrize(("transport", "sockets"), [("websocket", 2), ("auto", 2), ("rest", 1)])
async def test_sockets_are_warm_for_all_that_is_made_at_once(transport: str, sockets: int) -> None:
    async with scripted_provider(forever) as provider, running_pool(provider.url) as pool:
        client = HamsaClient("http://127.0.0.1:9", "key", connect_timeout_s=1)
        its = TransportContext(StreamLimits(), pool, client)
        for route in compose(options(tts_transport=transport), its).routes:
            if route.transport.name == "websocket":
                await route.transport.warm_up()
        while pool.counts()["opening"]:
            await asyncio.sleep(0)
        assert pool.opened == sockets
        await client.aclose()


@pytest.mark.parametrize("transport", ["websocket", "rest", "auto"])
async def test_both_ways_are_warmed(transport: str, built: list[Route]) -> None:
    async with context() as its:
        composed = compose(options(tts_transport=transport), its)
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
async def test_a_pair_that_makes_no_sense_is_told_with_what_is_allowed(
    transport: str, fallback: str | None, variable: str, allowed: str
) -> None:
    wrong = options(tts_transport=transport, tts_fallback=fallback)
    with pytest.raises(ConfigurationError) as told:
        check(wrong)
    assert str(told.value).startswith(f"{variable}: ")
    assert allowed in str(told.value)
    async with context() as its:
        with pytest.raises(ConfigurationError):
            compose(wrong, its)


def test_how_hard_to_try_is_taken_from_the_settings() -> None:
    policy = options(tts_attempts=3, tts_deadline_s=7, tts_hedge_after_ms=250).policy
    assert (policy.attempts, policy.deadline_s, policy.hedge_after_s) == (3, 7, 0.25)
    assert options().policy.hedge_after_s is None
