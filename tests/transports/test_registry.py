"""How transports are found by name: ours, and those of installed packages."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from app.errors import ConfigurationError
from app.hamsa.rest import HamsaClient
from app.transports import registry
from app.transports.options import StreamLimits
from app.transports.registry import TransportContext, find
from app.transports.rest import RestTransport
from app.transports.websocket import WebSocketTransport
from tests.hamsa.pools import running_pool
from tests.transports.fakes import FakeTransport


@dataclass
class FakeEntryPoint:
    """What an installed package says about itself."""

    name: str
    load: Callable[[], Any]
    value: str = "package.module:attribute"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install plug-ins: each by its name, with what loading it does."""

    def install(**loads: Callable[[], Any]) -> None:
        entries = [FakeEntryPoint(name, load) for name, load in loads.items()]

        def entry_points(*, group: str) -> list[FakeEntryPoint]:
            return entries if group == "nabra.tts_transports" else []

        monkeypatch.setattr(registry, "entry_points", entry_points)

    return install


@asynccontextmanager
async def context() -> AsyncIterator[TransportContext]:
    async with running_pool("ws://127.0.0.1:9") as pool:
        client = HamsaClient("http://127.0.0.1:9", "key", connect_timeout_s=1)
        yield TransportContext(StreamLimits(), pool, client)
        await client.aclose()


@pytest.mark.parametrize(
    ("name", "kind"), [("websocket", WebSocketTransport), ("rest", RestTransport)]
)
async def test_ours_are_built_by_their_names(name: str, kind: type) -> None:
    async with context() as it:
        transport = find(name)(it)
    assert type(transport) is kind
    assert transport.name == name


async def test_a_plug_in_is_built_with_all_that_ours_are_built_with(
    install: Callable[..., None],
) -> None:
    given: list[TransportContext] = []

    def factory(context: TransportContext) -> FakeTransport:
        given.append(context)
        return FakeTransport([])

    install(**{"acme.tts": lambda: factory, "other": lambda: pytest.fail("must not be loaded")})
    async with context() as it:
        assert isinstance(find("acme.tts")(it), FakeTransport)
        assert given == [it]


def test_a_plug_in_cannot_take_the_place_of_one_of_ours(install: Callable[..., None]) -> None:
    install(rest=lambda: pytest.fail("must not be loaded"))
    assert find("rest") is registry.BUILT_IN["rest"]


def test_an_unknown_name_is_told_with_the_names_there_are(install: Callable[..., None]) -> None:
    install(zeta=dict, acme=dict)
    with pytest.raises(ConfigurationError) as caught:
        find("rset")
    message = str(caught.value)
    assert message.startswith("TTS_TRANSPORT: 'rset' is unknown; allowed: ")
    names = message.partition("allowed: ")[2].split(", ")
    assert {"websocket", "rest", "acme", "zeta"} <= set(names)


def raises(error: Exception) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (raises(ModuleNotFoundError("No module named 'acme'")), "No module named 'acme'"),
        (raises(AttributeError("module 'acme' has no attribute 'make'")), "no attribute 'make'"),
        (lambda: "no factory", "no callable"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_told_at_the_start(
    load: Callable[[], Any], reason: str, install: Callable[..., None]
) -> None:
    install(acme=load)
    with pytest.raises(ConfigurationError, match="TTS_TRANSPORT: plug-in 'acme'") as caught:
        find("acme")
    assert reason in str(caught.value)


@pytest.mark.parametrize("built", [None, {}, FakeTransport], ids=["nothing", "a dict", "the class"])
async def test_a_plug_in_that_builds_no_transport_is_told_at_the_start(
    built: object, install: Callable[..., None]
) -> None:
    install(acme=lambda: lambda _: built)
    async with context() as it:
        with pytest.raises(ConfigurationError, match=r"plug-in 'acme' builds a .*TTSTransport"):
            find("acme")(it)
