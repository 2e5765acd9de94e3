"""Audio formats: what clients send and receive in other formats than the default."""

import math
from array import array
from typing import Any

import pytest

from app.audio import AudioFormat, decode_mulaw, encode_mulaw
from app.audio.resample import resample
from app.simulator import Simulator
from tests.gateway import (
    ARABIC_WAV,
    audio_of,
    calling,
    of_type,
    running_gateway,
    settings_for,
)

MULAW = AudioFormat("mulaw", 8000)
SPEECH = ARABIC_WAV[44:]
"""PCM16 at 16 kHz."""


def correlation(one: bytes, other: bytes) -> float:
    """Return the correlation of two pieces of PCM16: 1 for the same sound."""
    a, b = array("h", one), array("h", other)
    length = min(len(a), len(b))
    product = sum(x * y for x, y in zip(a[:length], b[:length], strict=True))
    energy = sum(x * x for x in a[:length]) * sum(y * y for y in b[:length])
    return product / math.sqrt(energy)


@pytest.mark.parametrize("transport", ["websocket", "rest"])
async def test_a_telephone_has_three_turns_in_mu_law_and_binary(
    simulator: Simulator, transport: str
) -> None:
    speech = encode_mulaw(resample(SPEECH, 16000, 8000))
    async with (
        running_gateway(settings_for(simulator, tts_transport=transport)) as url,
        calling(url) as caller,
    ):
        configured = await caller.configure(
            output={"encoding": "mulaw", "framing": "binary"},
            input={"encoding": "mulaw", "sample_rate": 8000},
        )
        assert configured["output"] == {
            "encoding": "mulaw",
            "sample_rate": 8000,
            "framing": "binary",
        }
        for _ in range(3):
            await caller.stream(speech, 160)  # 20 ms, as telephony sends it
            await caller.send({"type": "audio_end"})
            events, audio = await caller.turn_frames()
            assert of_type(events, "transcription")
            assert of_type(events, "tts_start")[0]["encoding"] == "mulaw"
            assert not of_type(events, "tts_chunk")
            wanted = b"".join(
                simulator.expected_audio(event["text"], MULAW)
                for event in of_type(events, "sentence")
            )
            assert audio == wanted
    full_quality = b"".join(
        resample(simulator.expected_audio(event["text"]), 16000, 8000)
        for event in of_type(events, "sentence")
    )
    assert correlation(decode_mulaw(audio), full_quality) > 0.9, (
        "the same speech as in full quality"
    )


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
async def test_pcm_is_sent_at_the_configured_rate(simulator: Simulator, rate: int) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.configure(output={"sample_rate": rate})
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
    audio = audio_of(events)
    assert abs(len(audio) - len(wanted)) <= 200 * len(sentences)
    assert correlation(audio, wanted) > 0.99, "the same sound, without a click between chunks"


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("frame_bytes", [320, 641])
async def test_push_to_talk_streams_audio_at_any_rate(
    simulator: Simulator, rate: int, frame_bytes: int
) -> None:
    speech = resample(SPEECH, 16000, rate)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.configure(input={"encoding": "pcm_s16le", "sample_rate": rate})
        await caller.stream(speech, frame_bytes)
        await caller.send({"type": "audio_end"})
        events = await caller.until("done")
    assert of_type(events, "transcription")
    assert audio_of(events)


async def test_an_utterance_over_the_limit_is_refused_once_and_the_next_is_transcribed(
    simulator: Simulator,
) -> None:
    async with (
        running_gateway(settings_for(simulator, max_utterance_s=8)) as url,
        calling(url) as caller,
    ):
        await caller.configure(input={"sample_rate": 16000})
        for _ in range(4):
            await caller.socket.send(bytes(32000 * 4))
        await caller.send({"type": "audio_end"})
        await caller.send({"type": "ping", "id": "after"})
        events = await caller.until("pong")
        assert [event.get("code") for event in events] == ["utterance-too-long", None]
        await caller.socket.send(SPEECH)
        await caller.send({"type": "audio_end"})
        assert of_type(await caller.until("done"), "transcription")


async def test_an_end_without_audio_is_refused(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "audio_end"})
        assert (await caller.next())["code"] == "empty-audio"


async def test_configuring_the_input_again_drops_what_was_streamed(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.configure(input={"sample_rate": 16000})
        await caller.socket.send(SPEECH)
        await caller.configure(input={"sample_rate": 16000})
        await caller.send({"type": "audio_end"})
        assert (await caller.next())["code"] == "empty-audio"


async def test_audio_during_a_response_belongs_to_the_next_utterance(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.configure(input={"sample_rate": 16000})
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
async def test_an_unsupported_format_is_refused_by_its_field_and_the_old_one_stays(
    simulator: Simulator, wanted: dict[str, Any], field: str
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        error = await caller.configure(**wanted)
        assert error["code"] == "unsupported-configuration"
        assert field in error["message"]
        assert (await caller.configure())["output"]["sample_rate"] == 16000


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
        events, audio = await caller.turn_frames()
    assert of_type(events, "tts_start")[0]["encoding"] == "mulaw"
    assert audio


async def test_a_change_during_a_response_is_in_force_from_the_next_turn_on(
    simulator: Simulator,
) -> None:
    simulator.configure({"timing": {"realtime_factor": 40}})
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("tts_chunk")
        await caller.send({"type": "configure", "output": {"framing": "binary"}})
        await caller.until("done")
        await caller.send({"type": "text", "text": "مرحبا"})
        events, audio = await caller.turn_frames()
    assert audio
    assert not of_type(events, "tts_chunk")
