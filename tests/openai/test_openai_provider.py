"""OpenAI behind Hamsa, and in its place, in a whole gateway with a simulator of both."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.errors import ConfigurationError, ConnectError
from app.settings import Settings
from app.simulator import Simulator
from app.strategies import load_plugins, plug_in_secrets
from tests.gateway import (
    Event,
    audio_of,
    calling,
    instant_simulator,
    of_type,
    running_gateway,
    settings_for,
)
from tests.transports.fakes import speak

QUESTION = "أين شحنتي؟"
ANSWER = "أهلاً وسهلاً بك في خدمة العملاء. شحنتك في الطريق إليك الآن وستصل اليوم."


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-0123456789")


async def turns(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, count: int = 1, **settings: Any
) -> list[list[Event]]:
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.urls.openai_base_url)
    async with (
        running_gateway(settings_for(simulator, **settings)) as url,
        calling(url) as caller,
    ):
        done = []
        for _ in range(count):
            await caller.send_audio()
            done.append(await caller.until("done"))
        return done


def transports_of(events: list[Event]) -> list[str]:
    return [row["transport"] for row in events[-1]["metrics"]["sentences"]]


@pytest.mark.parametrize("fault", ["unauthorized", "no_funds", "unavailable"])
async def test_when_hamsa_refuses_everything_the_answer_is_whole_in_another_voice(
    fault: str, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = {fault: {"channel": "hamsa"}}
    async with instant_simulator(
        script=(QUESTION,), answers={QUESTION: ANSWER}, faults=faults
    ) as simulator:
        fallbacks: dict[str, Any] = {"tts_fallback": "openai", "stt_fallback": "rest, openai"}
        (events,) = await turns(simulator, monkeypatch, 1, tts_transport="auto", **fallbacks)
    assert of_type(events, "transcription")[0]["text"] == QUESTION
    assert not of_type(events, "error")
    rows = events[-1]["metrics"]["sentences"]
    assert transports_of(events) == ["openai"] * len(rows)
    for row, sentence in zip(rows, of_type(events, "sentence"), strict=True):
        assert row["audio_ms"] > 60 * len(sentence["text"].replace(" ", ""))
    first = rows[0]["attempt_log"]
    assert [attempt["fault"] is None for attempt in first] == [False, True]


async def test_in_the_place_of_hamsa_it_hears_and_speaks(
    key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"tts_transport": "openai", "stt_transport": "openai"}
    async with instant_simulator() as simulator:
        for events in await turns(simulator, monkeypatch, 2, **settings):
            assert set(transports_of(events)) == {"openai"}
            assert not of_type(events, "error")
    assert set(simulator.stats.requests) == {"openai.stt", "openai.tts", "agent.agent"}
    assert simulator.stats.sockets_opened == 0


@pytest.mark.parametrize("fault", ["truncated", "drop", "riff", "odd_chunks"])
async def test_its_faults_are_repaired_like_hamsas(
    fault: str, key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with instant_simulator(faults={fault: {"channel": "openai", "times": 1}}) as simulator:
        (events,) = await turns(simulator, monkeypatch, tts_transport="openai")
        expected = sum(
            len(simulator.expected_audio(each["text"])) for each in of_type(events, "sentence")
        )
    assert not of_type(events, "error")
    assert len(audio_of(events)) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({}, "OPENAI_API_KEY: must be set, or OPENAI_BASE_URL to a server that needs none"),
        ({"OPENAI_BASE_URL": "localhost:8000"}, "OPENAI_BASE_URL: must begin with http"),
        ({"OPENAI_API_KEY": "sk-“quoted”"}, "OPENAI_API_KEY: holds a character"),
    ],
)
def test_what_is_missing_is_told_at_the_start(
    env: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None, tts_fallback=("openai",))  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError) as caught:
        load_plugins(settings)
    assert str(caught.value).startswith(line)


def test_its_key_is_masked_and_a_server_of_ones_own_needs_none(
    key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, tts_transport="openai")  # type: ignore[call-arg]
    assert plug_in_secrets(load_plugins(settings)) == ["sk-openai-0123456789"]
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8880/v1")
    assert plug_in_secrets(load_plugins(settings)) == []


def test_what_was_built_before_the_loop_speaks_within_it(
    key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a gateway that starts: mistakes are told before it listens."""

    async def spoken() -> bytes:
        async with AsyncExitStack() as stack:
            await plug_ins.resources.start(stack)
            return await speak(plug_ins.transports["openai"])

    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    settings = Settings(_env_file=None, tts_transport="openai")  # type: ignore[call-arg]
    plug_ins = load_plugins(settings)
    with pytest.raises(ConnectError):
        asyncio.run(spoken())
