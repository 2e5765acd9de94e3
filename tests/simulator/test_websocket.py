"""The provider's socket, as its documentation describes it."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.audio import AudioFormat
from app.simulator import Simulator, SimulatorConfig
from app.simulator.transcripts import built_in_lines
from tests.simulator.provider_client import (
    ACK,
    END,
    SILENT,
    TEXT,
    VOICED,
    Provider,
    ended,
    payload,
    utterance,
    wav,
)


async def closed(ws) -> tuple[int | None, str]:
    """Read until the socket closes; return why."""
    with pytest.raises(ConnectionClosed):
        while True:
            await ws.recv()
    return ws.close_code, ws.close_reason


async def test_a_socket_greets_and_speaks_byte_for_byte(sim, provider):
    async with provider.open() as ws:
        greeting = "Connected to realtime WebSocket server"
        assert await provider.control(ws) == {"type": "info", "payload": {"message": greeting}}
        answer = await provider.speak(ws)
    assert answer.frames[0] == ACK
    assert answer.frames[-1] == END
    assert answer.audio == sim.expected_audio(TEXT)
    assert answer.frames == [ACK, *answer.chunks, END]
    assert 5 <= len(answer.chunks) <= 40
    assert all(320 <= len(chunk) <= 65_536 and len(chunk) % 2 == 0 for chunk in answer.chunks)


async def test_the_greeting_of_other_deployments_is_an_ack(sim, provider):
    sim.configure({"greeting": "ack"})
    async with provider.open() as ws:
        assert await provider.control(ws) == {"type": "ack", "payload": {"message": "Connected"}}


@pytest.mark.parametrize(
    ("extra", "audio_format"),
    [
        ({"mulaw": True}, AudioFormat("mulaw", 8_000)),
        ({"mulaw": True, "sampleRate": "16k"}, AudioFormat("mulaw", 8_000)),
        ({"sampleRate": "8k"}, AudioFormat("pcm_s16le", 8_000)),
        ({"sampleRate": "16k"}, AudioFormat("pcm_s16le", 16_000)),
    ],
)
async def test_a_socket_speaks_in_the_format_that_was_asked_for(sim, provider, extra, audio_format):
    async with provider.open() as ws:
        await ws.recv()
        answer = await provider.speak(ws, **extra)
    seconds = len(sim.expected_audio(TEXT)) / 32_000
    assert answer.audio == sim.expected_audio(TEXT, audio_format)
    assert len(answer.audio) == pytest.approx(seconds * audio_format.bytes_per_second, rel=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (payload(""), "text must have 1 to 2000 characters"),
        (payload("ب" * 2_001), "text must have 1 to 2000 characters"),
        (payload(speaker=""), "speaker is required"),
        (payload(sampleRate="44k"), "sampleRate must be 8k or 16k"),
    ],
)
async def test_a_bad_request_gets_an_error_and_the_socket_stays(provider, content, message):
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "tts", content)
        assert await provider.control(ws) == {"type": "error", "payload": {"message": message}}
        assert (await provider.speak(ws)).frames[-1] == END


async def test_two_thousand_characters_are_counted_as_characters(sim, provider):
    async with provider.open(max_size=None) as ws:
        await ws.recv()
        text = "ب" * 2_000
        answer = await provider.speak(ws, text)
    assert answer.audio == sim.expected_audio(text)
    assert max(len(chunk) for chunk in answer.chunks) <= 65_536


@pytest.mark.parametrize("frame", ["{", "[]", '{"type":"tts"}', '{"type":"x","payload":{}}', b"x"])
async def test_nonsense_gets_an_error(provider, frame):
    async with provider.open() as ws:
        await ws.recv()
        await ws.send(frame)
        assert (await provider.control(ws))["type"] == "error"


async def test_requests_on_one_socket_are_served_one_after_another(sim, provider):
    texts = ["الأولى في الصف.", "الثانية في الصف."]
    async with provider.open() as ws:
        await ws.recv()
        for text in texts:
            await provider.send(ws, "tts", payload(text))
        frames, ends = [], 0
        while ends < 2:
            frame = await ws.recv()
            ends += isinstance(frame, str) and json.loads(frame) == END
            frames.append(frame)
    border = next(i for i, frame in enumerate(frames) if isinstance(frame, str) and i > 0) + 1
    for text, part in zip(texts, (frames[:border], frames[border:]), strict=True):
        assert json.loads(part[0]) == ACK
        assert b"".join(part[1:-1]) == sim.expected_audio(text)


async def test_transcripts_follow_the_script_and_begin_again(sim, provider):
    async with provider.open() as ws:
        await ws.recv()
        heard = []
        for _ in range(len(built_in_lines()) + 1):
            await provider.send(ws, "stt", VOICED)
            heard.append(await ws.recv())
    assert heard == [*built_in_lines(), built_in_lines()[0]]


async def test_silence_has_no_words_and_uses_up_no_line(sim, provider):
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", SILENT)
        assert await ws.recv() == ""
        await provider.send(ws, "stt", VOICED)
        assert await ws.recv() == built_in_lines()[0]


async def test_a_transcript_can_come_wrapped(sim, provider):
    sim.configure({"wrap_transcript": True, "script": ["نعم"]})
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", VOICED)
        wanted = {"type": "transcription", "payload": {"text": "نعم"}}
        assert await provider.control(ws) == wanted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (utterance(b"\1\0" * 1_600), "Only WAV files are supported"),
        (utterance(wav(b"\1\0" * 800, 8_000)), "WAV must be 16 kHz, mono, 16-bit PCM"),
        (utterance(b""), "audioBase64 is required"),
        ({"audioBase64": "!"}, "audioBase64 is not base64"),
    ],
)
async def test_only_wav_of_16_khz_is_heard(provider, content, message):
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", content)
        assert await provider.control(ws) == {"type": "error", "payload": {"message": message}}


@pytest.mark.parametrize(("sent", "accepted"), [("", None), ("wrong", "right")])
async def test_a_bad_key_is_let_in_and_shut_out_at_once(sent, accepted):
    config = SimulatorConfig(profile="instant", voice="hum", key=accepted)
    async with Simulator(config) as sim, Provider(sim).open(sent) as ws:
        assert (await closed(ws))[0] == 4001


async def test_the_key_may_come_in_the_query(provider, sim):
    sim_url = sim.urls.hamsa_ws_url + "?api_key=key"
    async with connect(sim_url, proxy=None) as ws:
        assert (await provider.control(ws))["type"] == "info"


async def test_another_path_is_not_found(sim):
    with pytest.raises(InvalidStatus) as refused:
        await connect(sim.urls.hamsa_ws_url + "x", proxy=None)
    assert refused.value.response.status_code == 404


async def test_an_idle_socket_is_closed(sim, provider):
    sim.configure({"idle_close_s": 0.01})
    async with provider.open() as ws:
        assert (await closed(ws))[0] == 1000


async def test_the_simulator_pings():
    config = SimulatorConfig(profile="instant", voice="hum", ping_interval_s=0.01)
    upgrade = (
        "GET /v1/realtime/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "X-Api-Key: key\r\n\r\n"
    )
    async with Simulator(config) as sim, asyncio.timeout(10):
        port = int(sim.urls.hamsa_ws_url.split(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade.encode())
        await reader.readuntil(b"\r\n\r\n")
        opcodes = set()
        while 0x89 not in opcodes:  # a final ping frame
            opcode, length = await reader.readexactly(2)
            await reader.readexactly(length)
            opcodes.add(opcode)
        writer.close()
        await writer.wait_closed()


async def test_work_stops_when_the_client_is_gone(sim, provider):
    sim.configure({"faults": {"stall": 1}})
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "tts", payload())
        while not isinstance(await ws.recv(), bytes):
            pass
        ws.transport.abort()
    await ended(sim)
    assert sim.requests[-1].aborted
    assert sim.requests[-1].bytes < len(sim.expected_audio(TEXT))


async def test_the_ledger_counts_sockets_and_keeps_a_timeline(sim, provider):
    async with provider.open() as first, provider.open() as second:
        await first.recv()
        await second.recv()
        await provider.speak(second)
        assert sim.stats.sockets_open == 2
    assert (sim.stats.sockets_opened, sim.stats.sockets_peak) == (2, 2)
    record = sim.requests[-1]
    assert (record.kind, record.channel, record.text, record.socket) == (
        "tts",
        "websocket",
        TEXT,
        2,
    )
    assert record.received_at <= record.first_audio_at <= record.ended_at
    assert record.bytes == len(sim.expected_audio(TEXT))
    assert not record.aborted
