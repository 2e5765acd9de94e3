"""Hands-free: a client streams its microphone, and the gateway hears when it is spoken to."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.audio import AudioFormat, encode_mulaw, resample
from app.simulator import Simulator, SimulatorConfig
from tests.gateway import Caller, Event, calling, of_type, running_gateway, settings_for
from tests.voices import Scene, noise

FRAME_BYTES = 640
QUESTION = "أين شحنتي رقم خمسة؟"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


async def listen(caller: Caller, **wanted: Any) -> Event:
    await caller.send({"type": "configure", "turn_detection": "server_vad", **wanted})
    return (await caller.until("configured", "error"))[-1]


async def stream(caller: Caller, audio: bytes, size: int = FRAME_BYTES) -> None:
    for at in range(0, len(audio), size):
        await caller.socket.send(audio[at : at + size])


async def caught_up(caller: Caller) -> list[Event]:
    """Everything that came of what was sent so far."""
    await caller.send({"type": "ping", "id": "caught-up"})
    return (await caller.until("pong"))[:-1]


def heard_by_the_provider(simulator: Simulator) -> int:
    return sum(record.kind == "stt" for record in simulator.requests)


async def test_a_question_is_heard_and_answered(simulator: Simulator) -> None:
    scene = Scene().pause(600).speak(QUESTION).pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        configured = await listen(caller)
        assert configured["turn_detection"] == "server_vad"
        await stream(caller, scene.pcm())
        events = await caller.until("done")
    kinds = [event["type"] for event in events]
    assert kinds[:4] == ["speech_started", "speech_stopped", "status", "transcription"]
    (start, end), *_ = scene.utterances
    assert abs(events[0]["audio_start_ms"] - start) <= 150
    assert abs(events[1]["audio_end_ms"] - end) <= 150
    assert events[1]["reason"] == "silence"
    assert events[-1]["metrics"]["endpointing_ms"] in range(480, 640)
    assert of_type(events, "tts_chunk")


async def test_speaking_over_an_answer_stops_it(simulator: Simulator) -> None:
    """Not one byte of it leaves after the gateway has heard the caller."""
    objection = Scene().pause(300).speak("لا لا، ليس هذا العنوان.").pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(caller)
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        await caller.until("tts_chunk")
        await stream(caller, objection.pcm())
        events = await caller.until("speech_stopped")
        kinds = [event["type"] for event in events]
        (interrupted,) = of_type(events, "interrupted")
        assert (interrupted["turn"], interrupted["reason"]) == (1, "barge_in")
        assert kinds[kinds.index("interrupted") :] == [
            "interrupted",
            "speech_started",
            "speech_stopped",
        ]
        events = await caller.until("done")
    assert {event["turn"] for event in events} == {2}


async def test_a_murmur_does_not_stop_an_answer(simulator: Simulator) -> None:
    murmur = Scene().pause(300).speak("اه").pause(800).cough(250).pause(500)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(caller)
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        await caller.until("done")  # sent; it is heard for some seconds more
        await stream(caller, murmur.pcm())
        assert await caught_up(caller) == []
    assert heard_by_the_provider(simulator) == 0


async def test_what_was_heard_is_what_the_client_reports(simulator: Simulator) -> None:
    objection = Scene().pause(300).speak("لا لا، ليس هذا العنوان.").pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(caller)
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        sentence = of_type(await caller.until("done"), "sentence")[0]["text"]
        await caller.send({"type": "playback", "turn": 1, "played_ms": 1234})
        await stream(caller, objection.pcm())
        interrupted = of_type(await caller.until("done"), "interrupted")[0]
    assert interrupted["played_ms"] == 1234
    assert interrupted["heard_text"]
    assert sentence.startswith(interrupted["heard_text"])


async def test_noise_is_not_a_turn(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(caller)
        await stream(caller, noise(5000, deviation=1000) + Scene().cough(300).pause(900).pcm())
        assert await caught_up(caller) == []
    assert heard_by_the_provider(simulator) == 0


async def test_a_telephone_is_heard(simulator: Simulator) -> None:
    scene = Scene().pause(600).speak(QUESTION).pause(800)
    line = encode_mulaw(resample(scene.pcm(), 16000, 8000))
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(
            caller,
            input={"encoding": "mulaw", "sample_rate": 8000},
            output={"encoding": "mulaw", "framing": "binary"},
        )
        await stream(caller, line, 160)
        kinds: list[str] = []
        audio = b""
        while "done" not in kinds:
            frame = await caller.socket.recv()
            if isinstance(frame, bytes):
                audio += frame
            else:
                event = json.loads(frame)
                kinds.append(event["type"])
                if event["type"] == "sentence":
                    wanted = simulator.expected_audio(event["text"], AudioFormat("mulaw", 8000))
    assert kinds[:2] == ["speech_started", "speech_stopped"]
    assert audio.endswith(wanted)


async def test_frames_may_split_samples(simulator: Simulator) -> None:
    scene = Scene().pause(600).speak(QUESTION).pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(caller)
        await stream(caller, scene.pcm(), 333)
        events = await caller.until("done")
    assert abs(events[0]["audio_start_ms"] - scene.utterances[0][0]) <= 150


async def test_speech_without_a_pause_is_cut_and_the_caller_is_told(simulator: Simulator) -> None:
    endless = Scene().pause(300).speak(*[QUESTION] * 4).pause(800)
    thanks = Scene().speak("شكراً جزيلاً لك.").pause(800)
    async with (
        running_gateway(settings_for(simulator, max_utterance_s=2)) as url,
        calling(url) as caller,
    ):
        await listen(caller)
        stops: list[Event] = []
        for scene in (endless, thanks):
            await stream(caller, scene.pcm())
            stops += of_type(await caller.until("done"), "speech_stopped")
    assert [stop["reason"] for stop in stops] == ["limit", "silence"]


async def test_breath_taken_before_the_answer_does_not_lengthen_the_limit(
    simulator: Simulator,
) -> None:
    simulator.configure({"timing": {"stt_ms": 60_000}})
    scene = Scene().pause(300).speak(QUESTION).pause(800).speak(QUESTION).pause(800)
    (start, end), *_ = scene.utterances
    settings = settings_for(simulator, max_utterance_s=1.2 * (end - start) / 1000)
    async with running_gateway(settings) as url, calling(url) as caller:
        await listen(caller)
        await stream(caller, scene.pcm())
        stops = of_type(await caught_up(caller), "speech_stopped")
    assert [stop["reason"] for stop in stops] == ["silence", "limit"]


async def test_a_client_may_end_its_utterance(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(caller)
        await caller.send({"type": "audio_end", "id": 1})
        refusal = await caller.next()
        assert (refusal["code"], refusal["in_reply_to"]) == ("empty-audio", 1)
        await stream(caller, Scene().pause(400).speak(QUESTION).pcm())
        await caller.send({"type": "audio_end"})
        events = await caller.until("done")
    assert of_type(events, "speech_stopped")[0]["reason"] == "client"
    assert of_type(events, "transcription")


async def test_a_client_may_change_its_mind(simulator: Simulator) -> None:
    """Half an utterance is forgotten with the way in which it was heard."""
    scene = Scene().pause(400).speak(QUESTION).pause(800)
    half = scene.pcm()[: 16 * 2 * 900]
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await listen(caller)
        await stream(caller, half)
        await caller.send({"type": "configure", "turn_detection": "none"})
        events = await caller.until("configured")
        assert events[-1]["turn_detection"] == "none"
        await stream(caller, scene.pcm())
        assert await caught_up(caller) == []
        await caller.send({"type": "audio_end"})
        await caller.until("done")
        await listen(caller, input={"sample_rate": 8000})
        await stream(caller, resample(scene.pcm(), 16000, 8000))
        started = of_type(await caller.until("done"), "speech_started")
    assert len(started) == 1
    assert abs(started[0]["audio_start_ms"] - scene.utterances[0][0]) <= 150


async def test_what_was_streamed_by_hand_is_forgotten_by_going_hands_free(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "configure", "input": {"sample_rate": 16000}})
        await caller.until("configured")
        await stream(caller, bytes(32_000))
        await listen(caller)
        await caller.send({"type": "configure", "turn_detection": "none"})
        await caller.until("configured")
        await caller.send({"type": "audio_end"})
        assert (await caller.next()).get("code") == "empty-audio"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "playback", "turn": 1}, "invalid-message"),
        ({"type": "playback", "turn": 0, "played_ms": 1}, "invalid-message"),
        ({"type": "playback", "turn": 1, "played_ms": -1}, "invalid-message"),
        ({"type": "configure", "turn_detection": "maybe"}, "unsupported-configuration"),
    ],
)
async def test_what_cannot_be_is_refused(
    simulator: Simulator, message: dict[str, Any], code: str
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send(message)
        assert (await caller.next())["code"] == code
        await caller.send({"type": "playback", "turn": 99, "played_ms": 5.5})
        assert await caught_up(caller) == []


async def test_early_transcription_begins_at_the_pause(simulator: Simulator) -> None:
    first = Scene().pause(400).speak(QUESTION).pause(320)
    rest = Scene().speak(QUESTION).pause(800)
    settings = settings_for(simulator, stt_early=True)
    async with running_gateway(settings) as url, calling(url) as caller:
        await listen(caller)
        await stream(caller, first.pcm())
        while heard_by_the_provider(simulator) < 1:
            await asyncio.sleep(0.01)
        await stream(caller, rest.pcm())
        events = await caller.until("done")
    assert len(of_type(events, "transcription")) == 1
    assert heard_by_the_provider(simulator) == 2, "the pause inside was asked about in vain"
