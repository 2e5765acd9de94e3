"""Server VAD: a client streams its microphone, and the gateway detects the turns."""

from typing import Any

import pytest

from app.audio import AudioFormat, encode_mulaw
from app.audio.resample import resample
from app.simulator import Simulator
from tests.gateway import Caller, Event, calling, of_type, running_gateway, settings_for
from tests.voices import Scene, noise
from tests.waiting import until

FRAME_BYTES = 640
QUESTION = "أين شحنتي رقم خمسة؟"


async def detect_turns(caller: Caller, **wanted: Any) -> Event:
    return await caller.configure(turn_detection="server_vad", **wanted)


async def processed(caller: Caller) -> list[Event]:
    """Return the events that follow from all that was sent so far."""
    await caller.send({"type": "ping", "id": "processed"})
    return (await caller.until("pong"))[:-1]


def stt_requests(simulator: Simulator) -> int:
    return sum(record.kind == "stt" for record in simulator.requests)


async def test_an_utterance_becomes_a_turn(simulator: Simulator) -> None:
    scene = Scene().pause(600).speak(QUESTION).pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        configured = await detect_turns(caller)
        assert configured["turn_detection"] == "server_vad"
        await caller.stream(scene.pcm(), FRAME_BYTES)
        events = await caller.until("done")
    kinds = [event["type"] for event in events]
    assert kinds[:4] == ["speech_started", "speech_stopped", "status", "transcription"]
    (start, end), *_ = scene.utterances
    assert abs(events[0]["audio_start_ms"] - start) <= 150
    assert abs(events[1]["audio_end_ms"] - end) <= 150
    assert events[1]["reason"] == "silence"
    assert events[-1]["metrics"]["endpointing_ms"] in range(480, 640)
    assert of_type(events, "tts_chunk")


async def test_a_barge_in_interrupts_the_response(simulator: Simulator) -> None:
    """No byte of it is sent after the speech has been detected."""
    objection = Scene().pause(300).speak("لا لا، ليس هذا العنوان.").pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        await caller.until("tts_chunk")
        await caller.stream(objection.pcm(), FRAME_BYTES)
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


async def test_a_backchannel_does_not_interrupt_a_response(simulator: Simulator) -> None:
    backchannel = Scene().pause(300).speak("اه").pause(800).cough(250).pause(500)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        await caller.until("done")  # all is sent; the client plays it for some seconds more
        await caller.stream(backchannel.pcm(), FRAME_BYTES)
        assert await processed(caller) == []
    assert stt_requests(simulator) == 0


async def test_the_text_played_goes_by_the_report_of_the_client(simulator: Simulator) -> None:
    objection = Scene().pause(300).speak("لا لا، ليس هذا العنوان.").pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        sentence = of_type(await caller.until("done"), "sentence")[0]["text"]
        await caller.send({"type": "playback", "turn": 1, "played_ms": 1234})
        await caller.stream(objection.pcm(), FRAME_BYTES)
        interrupted = of_type(await caller.until("done"), "interrupted")[0]
    assert interrupted["played_ms"] == 1234
    assert interrupted["heard_text"]
    assert sentence.startswith(interrupted["heard_text"])


async def test_noise_is_no_utterance(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.stream(
            noise(5000, deviation=1000) + Scene().cough(300).pause(900).pcm(), FRAME_BYTES
        )
        assert await processed(caller) == []
    assert stt_requests(simulator) == 0


async def test_a_telephone_has_a_turn(simulator: Simulator) -> None:
    scene = Scene().pause(600).speak(QUESTION).pause(800)
    line = encode_mulaw(resample(scene.pcm(), 16000, 8000))
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(
            caller,
            input={"encoding": "mulaw", "sample_rate": 8000},
            output={"encoding": "mulaw", "framing": "binary"},
        )
        await caller.stream(line, 160)
        events, audio = await caller.turn_frames()
    assert [event["type"] for event in events[:2]] == ["speech_started", "speech_stopped"]
    assert audio == b"".join(
        simulator.expected_audio(event["text"], AudioFormat("mulaw", 8000))
        for event in of_type(events, "sentence")
    )


async def test_frames_may_split_samples(simulator: Simulator) -> None:
    scene = Scene().pause(600).speak(QUESTION).pause(800)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.stream(scene.pcm(), 333)
        events = await caller.until("done")
    assert abs(events[0]["audio_start_ms"] - scene.utterances[0][0]) <= 150


async def test_endless_speech_is_cut_and_the_reason_is_reported(simulator: Simulator) -> None:
    endless = Scene().pause(300).speak(*[QUESTION] * 4).pause(800)
    thanks = Scene().speak("شكراً جزيلاً لك.").pause(800)
    async with (
        running_gateway(settings_for(simulator, max_utterance_s=2)) as url,
        calling(url) as caller,
    ):
        await detect_turns(caller)
        stops: list[Event] = []
        for scene in (endless, thanks):
            await caller.stream(scene.pcm(), FRAME_BYTES)
            stops += of_type(await caller.until("done"), "speech_stopped")
    assert [stop["reason"] for stop in stops] == ["limit", "silence"]


async def test_merged_utterances_are_cut_at_the_limit(
    simulator: Simulator,
) -> None:
    simulator.configure({"timing": {"stt_ms": 60_000}})
    scene = Scene().pause(300).speak(QUESTION).pause(800).speak(QUESTION).pause(800)
    (start, end), *_ = scene.utterances
    settings = settings_for(simulator, max_utterance_s=1.2 * (end - start) / 1000)
    async with running_gateway(settings) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.stream(scene.pcm(), FRAME_BYTES)
        stops = of_type(await processed(caller), "speech_stopped")
    assert [stop["reason"] for stop in stops] == ["silence", "limit"]


async def test_the_client_may_end_its_utterance(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.send({"type": "audio_end", "id": 1})
        refusal = await caller.next()
        assert (refusal["code"], refusal["in_reply_to"]) == ("empty-audio", 1)
        await caller.stream(Scene().pause(400).speak(QUESTION).pcm(), FRAME_BYTES)
        await caller.send({"type": "audio_end"})
        events = await caller.until("done")
    assert of_type(events, "speech_stopped")[0]["reason"] == "client"
    assert of_type(events, "transcription")


async def test_the_input_may_be_configured_within_an_utterance(simulator: Simulator) -> None:
    """Its first half is dropped."""
    scene = Scene().pause(400).speak(QUESTION).pause(800)
    half = scene.pcm()[: 16 * 2 * 900]
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.stream(half, FRAME_BYTES)
        assert (await caller.configure(turn_detection="none"))["turn_detection"] == "none"
        await caller.stream(scene.pcm(), FRAME_BYTES)
        assert await processed(caller) == []
        await caller.send({"type": "audio_end"})
        await caller.until("done")
        await detect_turns(caller, input={"sample_rate": 8000})
        await caller.stream(resample(scene.pcm(), 16000, 8000), FRAME_BYTES)
        started = of_type(await caller.until("done"), "speech_started")
    assert len(started) == 1
    assert abs(started[0]["audio_start_ms"] - scene.utterances[0][0]) <= 150


async def test_turn_detection_drops_what_was_streamed_before(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.configure(input={"sample_rate": 16000})
        await caller.stream(bytes(32_000), FRAME_BYTES)
        await detect_turns(caller)
        await caller.configure(turn_detection="none")
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
async def test_an_invalid_message_is_refused_and_the_session_goes_on(
    simulator: Simulator, message: dict[str, Any], code: str
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send(message)
        assert (await caller.next())["code"] == code
        await caller.send({"type": "playback", "turn": 99, "played_ms": 5.5})
        assert await processed(caller) == []


async def test_a_pause_is_transcribed_speculatively(simulator: Simulator) -> None:
    first = Scene().pause(400).speak(QUESTION).pause(320)
    rest = Scene().speak(QUESTION).pause(800)
    settings = settings_for(simulator, stt_early=True)
    async with running_gateway(settings) as url, calling(url) as caller:
        await detect_turns(caller)
        await caller.stream(first.pcm(), FRAME_BYTES)
        await until(lambda: stt_requests(simulator) == 1, state=simulator.requests, timeout_s=20)
        await caller.stream(rest.pcm(), FRAME_BYTES)
        events = await caller.until("done")
    assert len(of_type(events, "transcription")) == 1
    assert stt_requests(simulator) == 2, "that of the pause was not used"
