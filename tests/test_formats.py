"""Telephones and other clients: what they send and hear in formats of their own."""

import json
from array import array
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.audio import AudioFormat, decode_mulaw, encode_mulaw, resample
from app.simulator import Simulator, SimulatorConfig
from tests.gateway import (
    ARABIC_WAV,
    Caller,
    Event,
    audio_of,
    calling,
    of_type,
    running_gateway,
    settings_for,
)

MULAW = AudioFormat("mulaw", 8000)
SPEECH = ARABIC_WAV[44:]
"""PCM16 at 16 kHz."""


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


async def configure(caller: Caller, **wanted: Any) -> Event:
    await caller.send({"type": "configure", **wanted})
    return await caller.next()


async def frames_until_done(caller: Caller) -> tuple[list[Event], bytes]:
    """Take a turn of a client with binary framing: its events, and its audio."""
    events: list[Event] = []
    audio = b""
    while not events or events[-1]["type"] != "done":
        frame = await caller.socket.recv()
        if isinstance(frame, bytes):
            audio += frame
        else:
            events.append(json.loads(frame))
    return events, audio


def likeness(one: bytes, other: bytes) -> float:
    """The correlation of two pieces of PCM16, 1 for the same sound."""
    a, b = array("h", one), array("h", other)
    length = min(len(a), len(b))
    product = sum(x * y for x, y in zip(a[:length], b[:length], strict=True))
    energy = sum(x * x for x in a[:length]) * sum(y * y for y in b[:length])
    return product / energy**0.5


@pytest.mark.parametrize("transport", ["websocket", "rest"])
async def test_a_telephone_has_three_turns_in_mu_law_and_binary(
    simulator: Simulator, transport: str
) -> None:
    spoken = encode_mulaw(resample(SPEECH, 16000, 8000))
    async with (
        running_gateway(settings_for(simulator, tts_transport=transport)) as url,
        calling(url) as caller,
    ):
        configured = await configure(
            caller,
            output={"encoding": "mulaw", "framing": "binary"},
            input={"encoding": "mulaw", "sample_rate": 8000},
        )
        assert configured["output"] == {
            "encoding": "mulaw",
            "sample_rate": 8000,
            "framing": "binary",
        }
        for _ in range(3):
            for at in range(0, len(spoken), 160):  # 20 ms, as telephony sends it
                await caller.socket.send(spoken[at : at + 160])
            await caller.send({"type": "audio_end"})
            events, audio = await frames_until_done(caller)
            assert of_type(events, "transcription")
            assert of_type(events, "tts_start")[0]["encoding"] == "mulaw"
            assert not of_type(events, "tts_chunk")
            wanted = b"".join(
                simulator.expected_audio(event["text"], MULAW)
                for event in of_type(events, "sentence")
            )
            assert audio == wanted
    clear = b"".join(
        resample(simulator.expected_audio(event["text"]), 16000, 8000)
        for event in of_type(events, "sentence")
    )
    assert likeness(decode_mulaw(audio), clear) > 0.9, "the same speech as in full quality"


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
async def test_pcm_comes_at_the_rate_that_is_asked_for(simulator: Simulator, rate: int) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await configure(caller, output={"sample_rate": rate})
        await caller.send({"type": "text", "text": "مرحبا"})
        events = await caller.until("done")
    assert of_type(events, "tts_start")[0]["sample_rate"] == rate
    sentences = [event["text"] for event in of_type(events, "sentence")]
    wanted = b"".join(
        resample(simulator.expected_audio(text), 16000, rate)
        if rate == 24000
        else simulator.expected_audio(text, AudioFormat("pcm_s16le", rate))
        for text in sentences
    )
    heard = audio_of(events)
    assert abs(len(heard) - len(wanted)) <= 200 * len(sentences)
    assert likeness(heard, wanted) > 0.99, "the same sound, without a click at a seam"


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("size", [320, 641])
async def test_push_to_talk_streams_the_microphone_at_any_rate(
    simulator: Simulator, rate: int, size: int
) -> None:
    spoken = resample(SPEECH, 16000, rate)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await configure(caller, input={"encoding": "pcm_s16le", "sample_rate": rate})
        for at in range(0, len(spoken), size):
            await caller.socket.send(spoken[at : at + size])
        await caller.send({"type": "audio_end"})
        events = await caller.until("done")
    assert of_type(events, "transcription")
    assert audio_of(events)


async def test_streaming_over_the_limit_is_told_once_and_the_next_utterance_is_heard(
    simulator: Simulator,
) -> None:
    async with (
        running_gateway(settings_for(simulator, max_utterance_s=8)) as url,
        calling(url) as caller,
    ):
        await configure(caller, input={"sample_rate": 16000})
        for _ in range(4):
            await caller.socket.send(bytes(32000 * 4))
        await caller.send({"type": "audio_end"})
        await caller.send({"type": "ping", "id": "after"})
        events = await caller.until("pong")
        assert [event.get("code") for event in events] == ["utterance-too-long", None]
        await caller.socket.send(SPEECH)
        await caller.send({"type": "audio_end"})
        assert of_type(await caller.until("done"), "transcription")


async def test_an_end_without_audio_is_told(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "audio_end"})
        assert (await caller.next())["code"] == "empty-audio"


async def test_what_was_streamed_is_forgotten_by_naming_the_input_again(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await configure(caller, input={"sample_rate": 16000})
        await caller.socket.send(SPEECH)
        await configure(caller, input={"sample_rate": 16000})
        await caller.send({"type": "audio_end"})
        assert (await caller.next())["code"] == "empty-audio"


async def test_audio_that_comes_during_an_answer_belongs_to_the_next_utterance(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await configure(caller, input={"sample_rate": 16000})
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.socket.send(SPEECH)
        first = await caller.until("done")
        assert {event["turn"] for event in first} == {1}
        await caller.send({"type": "audio_end"})
        assert of_type(await caller.until("done"), "transcription")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"output": {"sample_rate": 11025}}, "output.sample_rate"),
        ({"output": {"encoding": "mulaw", "sample_rate": 16000}}, "output.sample_rate"),
        ({"output": {"encoding": "opus"}}, "output.encoding"),
        ({"output": {"framing": "smoke"}}, "output.framing"),
        ({"input": {"sample_rate": 4000}}, "input.sample_rate"),
        ({"input": {"sample_rate": 96000}}, "input.sample_rate"),
        ({"input": {"encoding": "aac"}}, "input.encoding"),
        ({"turn_detection": "telepathy"}, "turn_detection"),
        ({"language": "fr"}, "language"),
        ({"output": "loud"}, "output"),
    ],
)
async def test_a_format_that_cannot_be_names_its_field_and_leaves_the_old_one(
    simulator: Simulator, wanted: dict[str, Any], field: str
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        error = await configure(caller, **wanted)
        assert error["code"] == "unsupported-configuration"
        assert field in error["message"]
        assert (await configure(caller))["output"]["sample_rate"] == 16000


async def test_a_change_before_the_first_audio_is_in_force_from_the_next_turn_on(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.send({"type": "configure", "output": {"framing": "binary"}})
        await caller.send({"type": "configure", "output": {"encoding": "mulaw"}})
        first = await caller.until("done")
        assert len(of_type(first, "configured")) == 2
        assert of_type(first, "tts_start")[0]["encoding"] == "pcm_s16le"
        assert audio_of(first)
        await caller.send({"type": "text", "text": "مرحبا"})
        events, audio = await frames_until_done(caller)
    assert of_type(events, "tts_start")[0]["encoding"] == "mulaw"
    assert audio


async def test_a_change_amid_an_answer_is_in_force_from_the_next_turn_on(
    simulator: Simulator,
) -> None:
    simulator.configure({"timing": {"realtime_factor": 40}})
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("tts_chunk")
        await caller.send({"type": "configure", "output": {"framing": "binary"}})
        await caller.until("done")
        await caller.send({"type": "text", "text": "مرحبا"})
        events, audio = await frames_until_done(caller)
    assert audio
    assert not of_type(events, "tts_chunk")
