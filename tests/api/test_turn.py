"""Turns over real sockets: client, gateway, simulated providers."""

import base64
import json

import pytest
from websockets.asyncio.client import connect

from app import __version__
from app.audio import AudioFormat
from app.simulator import Simulator
from tests.gateway import (
    ARABIC_WAV,
    Caller,
    Event,
    audio_of,
    calling,
    expected_audio,
    instant_simulator,
    of_type,
    running_gateway,
    settings_for,
)

TRANSPORTS = ["websocket", "rest"]
ORIGINAL: dict[str, dict[str, type]] = {  # the fields of the original protocol, and their types
    "status": {"message": str},
    "transcription": {"text": str},
    "token": {"content": str},
    "agent_response": {"text": str},
    "tts_start": {"sample_rate": int, "encoding": str, "channels": int},
    "tts_chunk": {"audio_base64": str},
    "done": {},
    "error": {"message": str},
}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_spoken_turn_goes_through_all_stages_and_its_audio_is_exact(
    simulator: Simulator, transport: str
) -> None:
    settings = settings_for(simulator, tts_transport=transport, stt_transport=transport)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send_audio()
        events = await caller.until("done", "error")
    response = of_type(events, "agent_response")[0]["text"]
    assert "".join(event["content"] for event in of_type(events, "token")) == response
    sentences = of_type(events, "sentence")
    assert len(sentences) > 1
    assert " ".join(event["text"] for event in sentences) == response
    assert audio_of(events) == expected_audio(simulator, events)
    assert of_type(events, "tts_start")[0]["sample_rate"] == 16000
    metrics = events[-1]["metrics"]
    assert metrics["stt_ms"] is not None
    assert [row["faults"] for row in metrics["sentences"]] == [[]] * len(sentences)
    assert {row["transport"] for row in metrics["sentences"]} == {transport}
    assert sum(row["audio_ms"] for row in metrics["sentences"]) == pytest.approx(
        len(audio_of(events)) / 32, abs=len(sentences)
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_of_the_original_protocol_has_three_turns(
    simulator: Simulator, transport: str
) -> None:
    settings = settings_for(simulator, tts_transport=transport)
    async with (
        running_gateway(settings) as url,
        connect(url, compression=None, max_size=None) as socket,
    ):
        turns = []
        for _ in range(3):
            await socket.send(json.dumps({"audio_base64": base64.b64encode(ARABIC_WAV).decode()}))
            events: list[Event] = []
            while not events or events[-1]["type"] != "done":
                event = json.loads(await socket.recv())
                if event["type"] in ORIGINAL:
                    events.append(event)
            for event in events:
                for field, kind in ORIGINAL[event["type"]].items():
                    assert type(event[field]) is kind
            order = list(dict.fromkeys(event["type"] for event in events))
            assert set(order) == set(ORIGINAL) - {"error"}
            turns.append((of_type(events, "transcription")[0]["text"], len(audio_of(events))))
    assert len({text for text, _ in turns}) == 3
    assert all(length > 16000 for _, length in turns)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_first_sentence_is_spoken_while_the_agent_still_writes(transport: str) -> None:
    async with (
        instant_simulator(timing={"agent_token_ms": 20}) as simulator,
        running_gateway(settings_for(simulator, tts_transport=transport)) as url,
        calling(url) as caller,
    ):
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        events = await caller.until("done")
    kinds = [event["type"] for event in events]
    assert kinds.index("tts_chunk") < len(kinds) - 1 - kinds[::-1].index("token")
    assert kinds.index("tts_chunk") < kinds.index("agent_response")


async def test_events_are_numbered_without_gaps_and_carry_their_turn(simulator: Simulator) -> None:
    async with (
        running_gateway(settings_for(simulator)) as url,
        connect(f"{url}caller-7/", compression=None, max_size=None) as socket,
    ):
        caller = Caller(socket)
        events = await caller.until("status")
        assert [event["type"] for event in events] == ["session", "status"]
        assert events[0]["session_id"] == "caller-7"
        assert (events[0]["protocol"], events[0]["version"]) == (1, __version__)
        for number in (1, 2):
            await caller.send({"type": "text", "text": "مرحبا"})
            turn = await caller.until("done")
            assert {event["turn"] for event in turn} == {number}
            events += turn
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def test_a_response_over_2000_characters_is_spoken_whole(simulator: Simulator) -> None:
    text = "كلمة طويلة جدا " * 250  # the agent quotes it
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": text})
        events = await caller.until("done", "error")
    assert events[-1]["type"] == "done"
    assert all(len(event["text"]) <= 2000 for event in of_type(events, "sentence"))
    assert audio_of(events) == expected_audio(simulator, events)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_8_khz_is_requested_of_the_provider(simulator: Simulator, transport: str) -> None:
    settings = settings_for(simulator, tts_transport=transport, tts_sample_rate="8000")
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        events = await caller.until("done")
    assert of_type(events, "tts_start")[0]["sample_rate"] == 8000
    at_8_khz = AudioFormat("pcm_s16le", 8000)
    assert audio_of(events) == b"".join(
        simulator.expected_audio(event["text"], at_8_khz) for event in of_type(events, "sentence")
    )


async def test_silence_ends_the_turn_with_one_error_and_without_the_agent(
    simulator: Simulator,
) -> None:
    silence = ARABIC_WAV[:44] + bytes(32000)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send_audio(silence)
        events = await caller.until("done")
    assert [event["code"] for event in of_type(events, "error")] == ["no-speech"]
    assert not [record for record in simulator.requests if record.kind == "agent"]
