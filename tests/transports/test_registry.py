"""Transports by name: the built-in ones, and those of installed packages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app.errors import ConfigurationError
from app.transports import registry
from app.transports.registry import TransportContext, find
from app.transports.rest import RestTransport
from app.transports.websocket import WebSocketTransport
from tests.transports.contexts import unreachable_context
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


@pytest.mark.parametrize(
    ("name", "kind"), [("websocket", WebSocketTransport), ("rest", RestTransport)]
)
async def test_built_in_transports_are_found_by_name(name: str, kind: type) -> None:
    async with unreachable_context() as context:
        transport = find(name)(context)
    assert type(transport) is kind
    assert transport.name == name


async def test_a_plug_in_gets_the_context_that_built_in_transports_get(
    install: Callable[..., None],
) -> None:
    given: list[TransportContext] = []

    def factory(context: TransportContext) -> FakeTransport:
        given.append(context)
        return FakeTransport([])

    install(**{"acme.tts": lambda: factory, "other": lambda: pytest.fail("must not be loaded")})
    async with unreachable_context() as context:
        assert isinstance(find("acme.tts")(context), FakeTransport)
        assert given == [context]


def test_a_plug_in_cannot_replace_a_built_in_transport(install: Callable[..., None]) -> None:
    install(rest=lambda: pytest.fail("must not be loaded"))
    assert find("rest") is registry.BUILT_IN["rest"]


def test_the_error_for_an_unknown_name_lists_the_known_ones(install: Callable[..., None]) -> None:
    install(zeta=dict, acme=dict)
    with pytest.raises(ConfigurationError) as caught:
        find("rset")
    message = str(caught.value)
    assert message.startswith("TTS_TRANSPORT: 'rset' is unknown; allowed: ")
    names = message.partition("allowed: ")[2].split(", ")
    assert {"websocket", "rest", "acme", "zeta"} <= set(names)


def raising(error: Exception) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (raising(ModuleNotFoundError("No module named 'acme'")), "No module named 'acme'"),
        (raising(AttributeError("module 'acme' has no attribute 'make'")), "no attribute 'make'"),
        (lambda: "no factory", "must name a callable, got package.module:attribute"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_a_configuration_error(
    load: Callable[[], Any], reason: str, install: Callable[..., None]
) -> None:
    install(acme=load)
    with pytest.raises(ConfigurationError, match="TTS_TRANSPORT: plug-in 'acme'") as caught:
        find("acme")
    assert reason in str(caught.value)


@pytest.mark.parametrize("built", [None, {}, FakeTransport], ids=["nothing", "a dict", "the class"])
async def test_a_plug_in_that_builds_no_transport_is_a_configuration_error(
    built: object, install: Callable[..., None]
) -> None:
    install(acme=lambda: lambda _: built)
    async with unreachable_context() as context:
        with pytest.raises(ConfigurationError, match="plug-in 'acme' must build a TTSTransport"):
            find("acme")(context)
