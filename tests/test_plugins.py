"""Plug-in packages of each kind, from `tests/data/plugins`, in a gateway and in the registries."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app import plugins, strategies
from app.agents.base import Agent
from app.errors import ConfigurationError
from app.plugins import PluginSettings, Registry
from app.resources import Resources
from app.settings import Settings
from app.strategies import load_plugins, plug_in_secrets
from app.stt.base import Transcriber
from app.transports.base import TTSTransport
from nabra.testing import AgentConformance, TranscriberConformance, TransportConformance
from tests.gateway import (
    Caller,
    Event,
    audio_of,
    calling,
    instant_simulator,
    of_type,
    running_gateway,
    settings_for,
)
from tests.metrics import scrape

PACKAGES = Path(__file__).parent / "data" / "plugins"
GREETING = "سمعت منك اليوم هذه الكلمة الجميلة التي قلتها لي على الهاتف قبل قليل:"
QUESTION = "أين شحنتي؟"
TWO_SENTENCES = "أهلاً وسهلاً بك في خدمة العملاء. شحنتك في الطريق إليك الآن."


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Put the packages on the path, as an installer would, and work in an empty directory."""
    for package in PACKAGES.iterdir():
        monkeypatch.syspath_prepend(package)
    monkeypatch.chdir(tmp_path)
    yield
    for package in PACKAGES.iterdir():
        sys.modules.pop(package.name, None)


def write_env(**values: object) -> None:
    """Write the settings of the plug-ins where the gateway reads its own."""
    lines = [f"{name}={value}" for name, value in values.items()]
    Path(".env").write_text("\n".join(lines), encoding="utf-8")


@asynccontextmanager
async def plugged_gateway(answers: dict[str, str], **settings: Any) -> AsyncIterator[Caller]:
    """Run a gateway whose transport is `acme`, on a simulator for all else; call it."""
    async with (
        instant_simulator(answers=answers) as simulator,
        running_gateway(settings_for(simulator, **{"tts_transport": "acme", **settings})) as url,
        calling(url) as caller,
    ):
        yield caller


async def turn_of(caller: Caller) -> list[Event]:
    await caller.send({"type": "text", "text": QUESTION})
    return await caller.until("done")


def test_each_package_is_short_and_imports_nothing_of_the_gateway_but_its_public_face() -> None:
    for package in PACKAGES.glob("*/*.py"):
        source = package.read_text(encoding="utf-8")
        assert len(source.splitlines()) < 80
        assert "from nabra import" in source
        assert "app" not in source.replace("append", "")


async def test_plug_ins_of_each_kind_transcribe_answer_and_speak() -> None:
    write_env(ACME_TTS_SAMPLE=5, ACME_STT_WORD="مرحبا", ACME_AGENT_GREETING=GREETING)
    settings = {"stt_transport": "acme", "agent_kind": "acme"}
    async with plugged_gateway({}, **settings) as caller:
        await caller.send_audio()
        events = await caller.until("done")
    assert of_type(events, "transcription")[0]["text"] == "مرحبا"
    assert [each["text"] for each in of_type(events, "sentence")] == [
        f"{GREETING} مرحبا.",
        "وهذه جملة ثانية بعد الأولى.",
    ]
    assert set(audio_of(events)) == {0, 5}
    assert {row["transport"] for row in events[-1]["metrics"]["sentences"]} == {"acme"}
    assert not of_type(events, "error")


@pytest.mark.parametrize("fault", ["stall", "raise"])
async def test_the_fallback_finishes_the_sentence_that_a_plug_in_began(fault: str) -> None:
    write_env(ACME_TTS_FAULT=fault)
    limits = {"tts_stall_timeout_s": 0.1, "tts_fallback": "rest"}
    async with plugged_gateway({QUESTION: TWO_SENTENCES}, **limits) as caller:
        events = await turn_of(caller)
    assert not of_type(events, "error")
    sentences = events[-1]["metrics"]["sentences"]
    assert len(sentences) == 2
    assert {row["transport"] for row in sentences} == {"rest"}
    code = {"stall": "provider-timeout", "raise": "provider-failed"}[fault]
    first = sentences[0]["attempt_log"][0]
    assert (first["transport"], first["fault"]) == ("acme", code)
    for row, event in zip(sentences, of_type(events, "sentence"), strict=True):
        assert row["audio_ms"] > 40 * len(event["text"].replace(" ", ""))


@pytest.mark.parametrize("fault", ["stall", "raise"])
async def test_without_a_fallback_the_error_is_told_and_the_next_sentence_is_tried(
    fault: str,
) -> None:
    write_env(ACME_TTS_FAULT=fault)
    limits = {"tts_stall_timeout_s": 0.05, "tts_deadline_s": 0.3, "tts_attempts": 3}
    async with plugged_gateway({QUESTION: TWO_SENTENCES}, **limits) as caller:
        events = await turn_of(caller)
        assert len(of_type(events, "error")) == 2
        assert len(events[-1]["metrics"]["sentences"]) == 2
        assert (await turn_of(caller))[-1]["type"] == "done"


@pytest.mark.parametrize("fault", ["stall", "raise"])
async def test_another_transcriber_hears_what_a_plug_in_does_not(fault: str) -> None:
    write_env(ACME_STT_FAULT=fault)
    settings = {"stt_transport": "acme", "stt_fallback": "rest, websocket", "stt_timeout_s": 0.1}
    async with plugged_gateway({}, **settings) as caller:
        await caller.send_audio()
        events = await caller.until("done")
    assert of_type(events, "transcription")[0]["text"]
    assert not of_type(events, "error")


@pytest.mark.parametrize(("fault", "code"), [("stall", "agent-timeout"), ("raise", "agent-failed")])
async def test_an_agent_that_fails_is_heard_so_far_and_reported(fault: str, code: str) -> None:
    write_env(ACME_AGENT_FAULT=fault)
    settings = {"agent_kind": "acme", "agent_between_tokens_timeout_s": 0.1}
    async with plugged_gateway({}, **settings) as caller:
        events = await turn_of(caller)
        assert [error["code"] for error in of_type(events, "error")] == [code]
        spoken = "".join(event["text"] for event in of_type(events, "sentence"))
        assert QUESTION in spoken
        assert "ثانية" not in spoken


async def test_each_strategy_is_closed_though_others_fail_or_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []

    async def fails(strategy: object) -> None:
        closed.append(type(strategy).__name__)
        raise KeyError("socket")

    async def hangs(strategy: object) -> None:
        closed.append(type(strategy).__name__)
        await asyncio.Event().wait()

    monkeypatch.setattr(strategies, "CLOSE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(import_module("acme_tts").AcmeTransport, "aclose", fails)
    monkeypatch.setattr(import_module("acme_stt").AcmeTranscriber, "aclose", hangs)
    monkeypatch.setattr(import_module("acme_agent").AcmeAgent, "aclose", fails)
    settings = {"stt_transport": "acme", "agent_kind": "acme", "tts_fallback": "rest"}
    async with plugged_gateway({}, **settings) as caller:
        await turn_of(caller)
    assert sorted(closed) == ["AcmeAgent", "AcmeTranscriber", "AcmeTransport"]


async def test_the_gateway_tells_truly_who_speaks() -> None:
    async with (
        instant_simulator() as simulator,
        running_gateway(
            settings_for(
                simulator,
                tts_transport="acme",
                tts_fallback="rest",
                allow_client_transport="acme, websocket",
            )
        ) as url,
        calling(url) as caller,
    ):
        await caller.configure(transport="acme")
        await turn_of(caller)
        assert ("acme", "none") in (await scrape(url)).attempts()
        refused = await caller.configure(transport="rest")
        assert "acme, websocket" in refused["message"]
        http = url.replace("ws://", "http://").partition("/ws/")[0]
        async with httpx.AsyncClient(trust_env=False) as client:
            about = (await client.get(f"{http}/about.json")).json()
    assert about["tts"] == ["acme", "rest"]
    assert about["stt"] == ["websocket", "rest"]
    assert about["agent"] == "webhook"


def settings_of(**values: Any) -> Any:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("env", "settings", "line"),
    [
        (
            {"ACME_TTS_SAMPLE": "loud"},
            {"tts_transport": "acme"},
            "ACME_TTS_SAMPLE: must be a whole number, got 'loud'",
        ),
        ({"ACME_TTS_FAULT": "fire"}, {"tts_transport": "acme"}, "ACME_TTS_FAULT: must be 'none'"),
        ({}, {"tts_transport": "pigeon"}, "TTS_TRANSPORT: 'pigeon' is unknown; allowed: websocket"),
        ({}, {"tts_fallback": "pigeon"}, "TTS_FALLBACK: 'pigeon' is unknown"),
        ({}, {"tts_fallback": "websocket"}, "TTS_FALLBACK: must differ"),
        ({}, {"stt_transport": "pigeon"}, "STT_TRANSPORT: 'pigeon' is unknown"),
        ({}, {"stt_fallback": "pigeon"}, "STT_FALLBACK: 'pigeon' is unknown"),
        ({}, {"stt_fallback": "websocket"}, "STT_FALLBACK: must differ"),
        ({}, {"agent_kind": "pigeon"}, "AGENT_KIND: 'pigeon' is unknown; allowed: webhook, openai"),
        ({}, {"allow_client_transport": "pigeon"}, "ALLOW_CLIENT_TRANSPORT: 'pigeon' is unknown"),
    ],
)
def test_what_cannot_be_used_is_one_line_at_the_start(
    env: dict[str, str], settings: dict[str, Any], line: str
) -> None:
    write_env(**env)
    with pytest.raises(ConfigurationError) as caught:
        load_plugins(settings_of(**settings))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


class OddSettings(PluginSettings):
    """Settings of kinds that the gateway itself has none of."""

    model_config = SettingsConfigDict(env_prefix="ODD_")
    url: str
    day: date = date(2026, 1, 1)
    key: SecretStr = Field(default=SecretStr(""), min_length=3)


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({}, "ODD_URL: must be set"),
        ({"ODD_URL": "x", "ODD_DAY": "soon"}, "ODD_DAY: must be valid (Input should be a"),
        ({"ODD_URL": "x", "ODD_KEY": "s3"}, "ODD_KEY: "),
    ],
)
def test_settings_of_any_kind_are_told_by_name_and_no_secret_is(
    env: dict[str, str], line: str
) -> None:
    write_env(**env)

    def factory(context: Any) -> Agent:
        raise AssertionError("the settings are wrong")

    factory.settings_class = OddSettings  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError) as caught:
        plugins.build(factory, "odd", Agent, Resources(), what="x")
    assert str(caught.value).startswith(line)
    assert "s3" not in str(caught.value)


@dataclass
class FakeEntryPoint:
    """What an installed package says about itself."""

    name: str
    load: Callable[[], Any]
    value: str = "package.module:attribute"


def registry_of(monkeypatch: pytest.MonkeyPatch, **loads: Callable[[], Any]) -> Registry[Agent]:
    entries = [FakeEntryPoint(name, load) for name, load in loads.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries)
    return Registry[Agent]("nabra.agents", Agent, reserved=("webhook",))


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (raising(ModuleNotFoundError("No module named 'x'")), "loaded: No module named 'x'"),
        (raising(SyntaxError("invalid syntax")), "cannot be loaded: invalid syntax"),
        (lambda: "no factory", "must name a callable, got package.module:attribute"),
        (lambda: raising(KeyError("TOKEN")), "cannot be built: KeyError: 'TOKEN'"),
        (lambda: raising(ConfigurationError("ACME_KEY: must be set")), "ACME_KEY: must be set"),
        (lambda: lambda _: None, "must build a Agent, got NoneType"),
    ],
)
def test_the_mistakes_of_a_package_are_found_at_the_start(
    load: Callable[[], Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registry_of(monkeypatch, acme=load)
    with pytest.raises(ConfigurationError) as caught:
        registry.build("acme", Resources(), variable="AGENT_KIND")
    assert reason in str(caught.value)


def test_a_plug_in_must_bear_the_name_by_which_it_is_chosen() -> None:
    registry = Registry[TTSTransport]("nabra.tts_transports", TTSTransport)
    transport = registry.build("acme", Resources(), variable="TTS_TRANSPORT")
    transport.name = "other"
    with pytest.raises(ConfigurationError, match="must have the name 'acme', got 'other'"):
        plugins.build(lambda _: transport, "acme", TTSTransport, Resources(), what="x")


def test_a_plug_in_cannot_replace_what_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = registry_of(monkeypatch, webhook=lambda: pytest.fail("must not be loaded"))
    assert registry.installed == {}
    with pytest.raises(ConfigurationError, match="unknown"):
        registry.build("webhook", Resources(), variable="AGENT_KIND")


def test_the_credentials_of_plug_ins_are_known_to_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class KeySettings(PluginSettings):
        model_config = SettingsConfigDict(env_prefix="ACME_TTS_")
        key: SecretStr = SecretStr("")

    monkeypatch.setenv("ACME_TTS_KEY", "sk-acme-0123456789")
    monkeypatch.setattr(import_module("acme_tts").AcmeTransport, "settings_class", KeySettings)
    loaded = load_plugins(settings_of(tts_transport="acme"))
    assert plug_in_secrets(loaded) == ["sk-acme-0123456789"]


def loaded_from(package: str, attribute: str) -> Any:
    """Return a class of a package that is not on the path."""
    spec = spec_from_file_location(package, PACKAGES / package / f"{package}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, attribute)


class TestTransport(TransportConformance):
    factory = loaded_from("acme_tts", "AcmeTransport")


class TestTranscriber(TranscriberConformance):
    factory = loaded_from("acme_stt", "AcmeTranscriber")


class TestAgent(AgentConformance):
    factory = loaded_from("acme_agent", "AcmeAgent")


def test_the_kinds_of_the_suites_are_those_of_the_registries() -> None:
    kinds = [TransportConformance.kind, TranscriberConformance.kind, AgentConformance.kind]
    assert kinds == [TTSTransport, Transcriber, Agent]
