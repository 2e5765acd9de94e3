"""Whole conversations over real sockets: client, gateway, simulator."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.audio import AudioFormat
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

TRANSPORTS = ["websocket", "rest"]
ORIGINAL = {  # the fields of the original protocol, and their types
    "status": {"message": str},
    "transcription": {"text": str},
    "token": {"content": str},
    "agent_response": {"text": str},
    "tts_start": {"sample_rate": int, "encoding": str, "channels": int},
    "tts_chunk": {"audio_base64": str},
    "done": {},
    "error": {"message": str},
}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as running:
        yield running


def spoken_by(simulator: Simulator, events: list[Event]) -> bytes:
    """What the provider would have said for the sentences of these events."""
    return b"".join(
        simulator.expected_audio(event["text"]) for event in of_type(events, "sentence")
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_spoken_turn_goes_through_all_stages_and_its_audio_is_exact(
    simulator: Simulator, transport: str
) -> None:
    settings = settings_for(simulator, tts_transport=transport, stt_transport=transport)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.say()
        events = await caller.until("done", "error")
    answer = of_type(events, "agent_response")[0]["text"]
    assert "".join(event["content"] for event in of_type(events, "token")) == answer
    sentences = of_type(events, "sentence")
    assert len(sentences) > 1
    assert " ".join(event["text"] for event in sentences) == answer
    assert audio_of(events) == spoken_by(simulator, events)
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
        heard = []
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
            heard.append((of_type(events, "transcription")[0]["text"], len(audio_of(events))))
    assert len({text for text, _ in heard}) == 3
    assert all(length > 16000 for _, length in heard)


@pytest.mark.parametrize(("lookahead", "sockets"), [(0, 1), (1, 2)])
async def test_a_socket_for_each_sentence_in_the_making_serves_a_session_and_its_transcripts(
    lookahead: int, sockets: int, simulator: Simulator
) -> None:
    settings = settings_for(simulator, tts_lookahead=lookahead)
    async with running_gateway(settings) as url, calling(url) as caller:
        for _ in range(3):
            await caller.say()
            events = await caller.until("done")
            heard = {row["transport"] for row in events[-1]["metrics"]["sentences"]}
            assert heard == {"websocket"}
    assert simulator.stats.sockets_opened == sockets


async def test_rest_sends_all_over_one_http2_connection(simulator: Simulator) -> None:
    settings = settings_for(
        simulator, tts_transport="rest", tts_fallback="none", stt_transport="rest"
    )
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.say()
        events = await caller.until("done")
    assert simulator.stats.sockets_opened == 0
    assert simulator.stats.http_connections["2"] == 1
    assert {row["connection"] for row in events[-1]["metrics"]["sentences"]} == {"reused"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_first_sentence_is_spoken_while_the_agent_still_writes(transport: str) -> None:
    config = SimulatorConfig(profile="instant", voice="hum", timing={"agent_token_ms": 20})
    async with (
        Simulator(config) as simulator,
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
        assert events[0]["protocol"] == 1
        for number in (1, 2):
            await caller.send({"type": "text", "text": "مرحبا"})
            turn = await caller.until("done")
            assert {event["turn"] for event in turn} == {number}
            events += turn
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("path", ["", "/", "/abc", "/abc/"])
async def test_the_endpoint_is_found_with_and_without_slash_and_id(
    simulator: Simulator, path: str
) -> None:
    async with (
        running_gateway(settings_for(simulator)) as url,
        connect(url.rstrip("/") + path, compression=None) as socket,
    ):
        session = json.loads(await socket.recv())
        assert session["type"] == "session"
        assert session["session_id"] == "abc" if "abc" in path else session["session_id"]


async def test_a_text_over_2000_characters_is_answered_and_a_long_answer_spoken_whole(
    simulator: Simulator,
) -> None:
    text = "كلمة طويلة جدا " * 250  # the agent quotes it
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": text})
        events = await caller.until("done", "error")
    assert events[-1]["type"] == "done"
    assert all(len(event["text"]) <= 2000 for event in of_type(events, "sentence"))
    assert audio_of(events) == spoken_by(simulator, events)


BAD: list[tuple[str, str | bytes | dict[str, Any], str]] = [
    ("not JSON", "{oops", "invalid-json"),
    ("empty", "", "invalid-json"),
    ("a list", "[]", "invalid-message"),
    ("no type", {"hello": 1}, "invalid-message"),
    ("type is no string", {"type": 7}, "invalid-message"),
    ("unknown type", {"type": "dance"}, "unknown-message-type"),
    ("audio of the wrong shape", {"audio_base64": 7}, "invalid-message"),
    ("not base64", {"audio_base64": "%%%"}, "invalid-base64"),
    ("base64 of the wrong length", {"audio_base64": "QUJDR"}, "invalid-base64"),
    ("empty audio", {"audio_base64": ""}, "empty-audio"),
    ("too many bytes", {"audio_base64": "QUJD" * 30000}, "utterance-too-long"),
    ("binary frame", b"\x00\x01", "unexpected-binary"),
    ("no text", {"type": "text", "text": " \n"}, "empty-text"),
    ("too much text", {"type": "text", "text": "س" * 101}, "text-too-long"),
    ("text is no string", {"type": "text", "text": ["a"]}, "invalid-message"),
    ("dialect", {"type": "configure", "voice": {"dialect": "xx"}}, "unsupported-configuration"),
    ("framing", {"type": "configure", "output": {"framing": "z"}}, "unsupported-configuration"),
    ("detection", {"type": "configure", "turn_detection": "?"}, "unsupported-configuration"),
]


@pytest.mark.parametrize("wrong", BAD, ids=[name for name, _, _ in BAD])
async def test_bad_input_gets_one_error_and_the_session_goes_on(
    simulator: Simulator, wrong: tuple[str, str | bytes | dict[str, Any], str]
) -> None:
    _, message, code = wrong
    if isinstance(message, dict):
        message = json.dumps({**message, "id": "m-1"})
    settings = settings_for(simulator, max_utterance_bytes=64 * 1024, max_text_chars=100)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.socket.send(message)
        error = await caller.next()
        assert (error["type"], error["code"], error["recoverable"]) == ("error", code, True)
        assert error["message"]
        if "m-1" in str(message):
            assert error["in_reply_to"] == "m-1"
        await caller.send({"type": "text", "text": "مرحبا"})
        events = await caller.until("done")
        assert not of_type(events, "error")
        assert audio_of(events)


async def test_a_field_of_the_wrong_shape_is_named(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": ["a"]})
        assert "(text: " in (await caller.next())["message"]


@pytest.mark.parametrize(
    ("audio", "limit_s", "code"),
    [
        (b"this is no audio at all", 120.0, "undecodable-audio"),
        (ARABIC_WAV[:44], 120.0, "empty-audio"),
        (ARABIC_WAV, 1.0, "utterance-too-long"),
    ],
)
async def test_a_recording_that_cannot_be_used_ends_its_turn_with_an_error(
    simulator: Simulator, audio: bytes, limit_s: float, code: str
) -> None:
    settings = settings_for(simulator, max_utterance_s=limit_s)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.say(audio)
        events = await caller.until("done")
        assert [event["code"] for event in of_type(events, "error")] == [code]
        await caller.send({"type": "text", "text": "مرحبا"})
        assert audio_of(await caller.until("done"))


async def test_silence_gets_one_polite_event_and_no_agent_call(simulator: Simulator) -> None:
    silence = ARABIC_WAV[:44] + bytes(32000)
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.say(silence)
        events = await caller.until("done")
    assert [event["code"] for event in of_type(events, "error")] == ["no-speech"]
    assert not [record for record in simulator.requests if record.kind == "agent"]


async def test_ping_is_answered_with_the_same_id(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "ping", "id": "p-9"})
        assert (await caller.next())["id"] == "p-9"


async def test_configure_changes_voice_and_language_and_says_what_is_in_force(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "configure", "voice": {"speaker": "Salma"}, "language": "en"})
        configured = await caller.next()
        assert configured["voice"] == {"speaker": "Salma", "dialect": "ksa"}
        assert configured["output"] == {
            "encoding": "pcm_s16le",
            "sample_rate": 16000,
            "framing": "base64",
        }
        await caller.send({"type": "dance"})
        assert (await caller.next())["message"].startswith("The message")


async def test_a_refused_configuration_leaves_the_old_one_in_force(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "configure", "voice": {"speaker": "Lana", "dialect": "?"}})
        error = await caller.next()
        assert "voice.dialect" in error["message"]
        await caller.send({"type": "configure"})
        assert (await caller.next())["voice"]["speaker"] == "Majd"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("how", ["text", "interrupt"])
async def test_speaking_over_the_answer_interrupts_it(how: str, transport: str) -> None:
    config = SimulatorConfig(profile="instant", voice="hum", timing={"realtime_factor": 1})
    async with (
        Simulator(config) as simulator,
        running_gateway(settings_for(simulator, tts_transport=transport)) as url,
        calling(url) as caller,
    ):
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        await caller.until("tts_chunk")
        await caller.send({"type": how, "text": "مهلا"})
        before = await caller.until("interrupted")
        assert before[-1]["reason"] == ("barge_in" if how == "text" else "client")
        assert before[-1]["turn"] == 1
        if how == "interrupt":
            await caller.send({"type": "text", "text": "مهلا"})
        simulator.configure({"timing": {"realtime_factor": 0}})
        after = await caller.until("done")
        assert {event["turn"] for event in after} == {2}
        assert audio_of(after) == spoken_by(simulator, after)


async def test_an_interrupt_without_a_turn_is_harmless(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "interrupt"})
        await caller.send({"type": "ping", "id": 1})
        assert (await caller.next())["type"] == "pong"


STAGES: dict[str, dict[str, Any]] = {
    "transcribing": {"timing": {"stt_ms": 60_000}},
    "thinking": {"timing": {"agent_first_token_ms": 60_000}},
    "token": {"timing": {"agent_token_ms": 2_000}},
    "speaking": {"timing": {"first_audio_ms": 60_000}},
    "tts_chunk": {"timing": {"realtime_factor": 0.1}},
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("stage", STAGES)
async def test_a_client_that_leaves_costs_no_task_and_no_socket(transport: str, stage: str) -> None:
    def reached(event: Event) -> bool:
        return stage in (event["type"], event.get("code"))

    config = SimulatorConfig(profile="instant", voice="hum", **STAGES[stage])
    settings: Callable[[Simulator], Any] = lambda simulator: settings_for(
        simulator, tts_transport=transport, stt_transport=transport, hamsa_drain_timeout_s=0.1
    )
    async with Simulator(config) as simulator:
        async with running_gateway(settings(simulator)) as url:
            async with calling(url) as caller:
                idle = asyncio.all_tasks()
                await caller.say()
                while not reached(await caller.next()):
                    pass
            while [t for t in asyncio.all_tasks() - idle if t.get_name().startswith("turn")]:
                await asyncio.sleep(0)
            while any(record.ended_at is None for record in simulator.requests):
                await asyncio.sleep(0.001)
        assert simulator.stats.sockets_open == 0


@pytest.mark.parametrize("id", ["x" * 129, "a%2Fb", "a/b", "%0A"])
async def test_a_session_id_that_is_unsafe_is_refused_before_the_upgrade(
    simulator: Simulator, id: str
) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{url}{id}/", proxy=None)
        assert refusal.value.response.status_code == 400
        assert json.loads(refusal.value.response.body or b"")["code"] == "invalid-session-id"


@pytest.mark.parametrize(("message", "code"), [(b"x" * 400_000, 1009), (b"\xff", 1007)])
async def test_what_cannot_even_be_refused_ends_the_connection_by_a_code(
    simulator: Simulator, message: bytes, code: int
) -> None:
    settings = settings_for(simulator, max_utterance_bytes=64 * 1024)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.socket.send(message, text=True)
        with pytest.raises(ConnectionClosed):
            await caller.next()
        assert caller.socket.close_code == code


async def test_a_server_that_stops_says_so(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        socket = await connect(url, compression=None, proxy=None)
    await socket.wait_closed()
    assert socket.close_code == 1012


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_8_khz_is_asked_of_the_provider(simulator: Simulator, transport: str) -> None:
    settings = settings_for(simulator, tts_transport=transport, tts_sample_rate="8000")
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        events = await caller.until("done")
    assert of_type(events, "tts_start")[0]["sample_rate"] == 8000
    at_8_khz = AudioFormat("pcm_s16le", 8000)
    assert audio_of(events) == b"".join(
        simulator.expected_audio(event["text"], at_8_khz) for event in of_type(events, "sentence")
    )


FAULTS: list[tuple[dict[str, Any], str, str | None]] = [
    # what the provider does once, the way, and the code of the error if the caller hears of it
    ({"truncated": {"probability": 1, "times": 1}}, "websocket", None),
    ({"truncated": {"probability": 1, "times": 1}}, "rest", None),
    ({"riff": 1.0}, "websocket", None),
    ({"riff": 1.0}, "rest", None),
    ({"odd_chunks": 1.0}, "websocket", None),
    ({"odd_chunks": 1.0}, "rest", None),
    ({"late_frames": 1.0}, "websocket", None),
    ({"unavailable": {"probability": 1, "times": 1}}, "rest", None),
    ({"endless_error": {"probability": 1, "times": 1}}, "rest", None),
    ({"provider_error": {"probability": 1, "times": 1, "operation": "tts"}}, "websocket", None),
    ({"unauthorized": {"probability": 1, "channel": "rest"}}, "rest", "provider-authentication"),
    ({"quota": {"probability": 1, "operation": "tts"}}, "websocket", "provider-quota"),
    ({"redirect": {"probability": 1, "channel": "rest"}}, "rest", None),
    ({"agent_error": 1.0}, "websocket", "agent-failed"),
    ({"agent_cut": 1.0}, "websocket", "agent-cut"),
    ({"agent_empty": 1.0}, "websocket", "agent-empty"),
    ({"agent_404": 1.0}, "websocket", "agent-refused"),
]


@pytest.mark.parametrize(
    ("faults", "transport", "code"), FAULTS, ids=[f"{next(iter(f))}-{t}" for f, t, _ in FAULTS]
)
async def test_a_fault_of_the_provider_is_repaired_or_told_and_never_heard(
    simulator: Simulator, faults: dict[str, Any], transport: str, code: str | None
) -> None:
    settings = settings_for(simulator, tts_transport=transport, hamsa_linger_s=0.3)
    simulator.configure({"faults": faults})
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        events = await caller.until("done")
        told = {event["code"] for event in of_type(events, "error")}
        assert told == ({code} if code else set())
        assert audio_of(events) == spoken_by(simulator, events)
        simulator.clear_faults()
        await caller.send({"type": "text", "text": "مرة ثانية"})
        events = await caller.until("done")
        assert not of_type(events, "error")
        assert audio_of(events) == spoken_by(simulator, events)
    assert simulator.stats.keys_leaked == 0


async def test_the_key_is_in_no_event_and_no_log(
    simulator: Simulator, capfd: pytest.CaptureFixture[str]
) -> None:
    simulator.configure({"key": "another-key"})
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.say()
        events = await caller.until("done")
    assert [event["code"] for event in of_type(events, "error")] == ["provider-authentication"]
    output = capfd.readouterr()
    assert "test-key" not in json.dumps(events) + output.out + output.err


async def test_a_provider_that_speaks_http_1_1_serves_too(simulator: Simulator) -> None:
    settings = settings_for(
        simulator, tts_transport="rest", stt_transport="rest", hamsa_rest_http2="auto"
    )
    async with running_gateway(settings) as url, calling(url) as caller:
        for _ in range(2):
            await caller.say()
            events = await caller.until("done")
            assert not of_type(events, "error")
            assert audio_of(events) == spoken_by(simulator, events)
    assert simulator.stats.http_connections["2"] == 0
