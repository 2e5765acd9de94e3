"""The provider's socket, as its documentation describes it."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.audio import AudioFormat
from app.simulator import Simulator, SimulatorConfig
from app.simulator.transcripts import built_in_lines
from tests.simulator.provider_client import (
    ACK,
    END,
    SILENCE,
    SPEECH,
    TEXT,
    ProviderClient,
    last_request_ended,
    stt_payload,
    tts_payload,
    wav_file,
)


async def close_code_of(ws: ClientConnection) -> int | None:
    """Receive until the socket is closed."""
    with pytest.raises(ConnectionClosed):
        while True:
            await ws.recv()
    return ws.close_code


async def test_a_socket_greets_and_sends_audio_byte_for_byte(
    sim: Simulator, provider: ProviderClient
) -> None:
    async with provider.open() as ws:
        greeting = "Connected to realtime WebSocket server"
        message = {"type": "info", "payload": {"message": greeting}}
        assert await provider.receive_control(ws) == message
        stream = await provider.synthesize(ws)
    assert stream.frames[0] == ACK
    assert stream.frames[-1] == END
    assert stream.audio == sim.expected_audio(TEXT)
    assert stream.frames == [ACK, *stream.chunks, END]
    assert 5 <= len(stream.chunks) <= 40
    assert all(320 <= len(chunk) <= 65_536 and len(chunk) % 2 == 0 for chunk in stream.chunks)


async def test_the_greeting_of_other_deployments_is_an_ack(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"greeting": "ack"})
    async with provider.open() as ws:
        message = {"type": "ack", "payload": {"message": "Connected"}}
        assert await provider.receive_control(ws) == message


@pytest.mark.parametrize(
    ("extra", "audio_format"),
    [
        ({"mulaw": True}, AudioFormat("mulaw", 8_000)),
        ({"mulaw": True, "sampleRate": "16k"}, AudioFormat("mulaw", 8_000)),
        ({"sampleRate": "8k"}, AudioFormat("pcm_s16le", 8_000)),
        ({"sampleRate": "16k"}, AudioFormat("pcm_s16le", 16_000)),
    ],
)
async def test_audio_comes_in_the_requested_format(
    sim: Simulator, provider: ProviderClient, extra: dict[str, Any], audio_format: AudioFormat
) -> None:
    async with provider.open() as ws:
        await ws.recv()
        stream = await provider.synthesize(ws, **extra)
    seconds = len(sim.expected_audio(TEXT)) / 32_000
    assert stream.audio == sim.expected_audio(TEXT, audio_format)
    assert len(stream.audio) == pytest.approx(seconds * audio_format.bytes_per_second, rel=0.01)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (tts_payload(""), "text must have 1 to 2000 characters"),
        (tts_payload("ب" * 2_001), "text must have 1 to 2000 characters"),
        (tts_payload(speaker=""), "speaker is required"),
        (tts_payload(mulaw="yes"), "mulaw must be true or false"),
        (tts_payload(sampleRate="44k"), "sampleRate must be 8k or 16k"),
    ],
)
async def test_a_bad_request_gets_an_error_and_the_socket_stays(
    provider: ProviderClient, payload: dict[str, Any], message: str
) -> None:
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "tts", payload)
        error = {"type": "error", "payload": {"message": message}}
        assert await provider.receive_control(ws) == error
        assert (await provider.synthesize(ws)).frames[-1] == END


async def test_the_limit_of_2000_counts_characters_not_bytes(
    sim: Simulator, provider: ProviderClient
) -> None:
    text = "ب" * 2_000
    async with provider.open(max_size=None) as ws:
        await ws.recv()
        stream = await provider.synthesize(ws, text)
    assert stream.audio == sim.expected_audio(text)
    assert max(len(chunk) for chunk in stream.chunks) <= 65_536


@pytest.mark.parametrize("frame", ["{", "[]", '{"type":"tts"}', '{"type":"x","payload":{}}', b"x"])
async def test_nonsense_gets_an_error(provider: ProviderClient, frame: str | bytes) -> None:
    async with provider.open() as ws:
        await ws.recv()
        await ws.send(frame)
        assert (await provider.receive_control(ws))["type"] == "error"


async def test_requests_on_one_socket_are_served_one_after_another(
    sim: Simulator, provider: ProviderClient
) -> None:
    texts = ["الأولى في الصف.", "الثانية في الصف."]
    async with provider.open() as ws:
        await ws.recv()
        for text in texts:
            await provider.send(ws, "tts", tts_payload(text))
        for text in texts:
            assert await provider.receive_control(ws) == ACK
            audio = b""
            while isinstance(frame := await ws.recv(), bytes):
                audio += frame
            assert json.loads(frame) == END
            assert audio == sim.expected_audio(text)


async def test_transcripts_follow_the_script_and_begin_again(provider: ProviderClient) -> None:
    async with provider.open() as ws:
        await ws.recv()
        transcripts = []
        for _ in range(len(built_in_lines()) + 1):
            await provider.send(ws, "stt", SPEECH)
            transcripts.append(await ws.recv())
    assert transcripts == [*built_in_lines(), built_in_lines()[0]]


async def test_silence_has_an_empty_transcript_and_uses_up_no_line(
    provider: ProviderClient,
) -> None:
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", SILENCE)
        assert await ws.recv() == ""
        await provider.send(ws, "stt", SPEECH)
        assert await ws.recv() == built_in_lines()[0]


async def test_a_transcript_can_come_wrapped(sim: Simulator, provider: ProviderClient) -> None:
    sim.configure({"wrap_transcript": True, "script": ["نعم"]})
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", SPEECH)
        message = {"type": "transcription", "payload": {"text": "نعم"}}
        assert await provider.receive_control(ws) == message


WAV = wav_file(b"\1\0" * 800)
WRONG_FORMAT = "WAV must be 16 kHz, mono, 16-bit PCM"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (stt_payload(b"\1\0" * 1_600), "Only WAV files are supported"),
        (stt_payload(wav_file(b"\1\0" * 800, 8_000)), WRONG_FORMAT),
        (stt_payload(WAV[:20] + b"\7" + WAV[21:]), WRONG_FORMAT),  # mu-law
        (stt_payload(WAV[:16]), WRONG_FORMAT),  # ends amid the header
        (stt_payload(WAV[:36]), WRONG_FORMAT),  # has no data chunk
        (stt_payload(WAV[:36] + b"LIST\xff\xff\xff\x7f"), WRONG_FORMAT),
        (stt_payload(b""), "audioBase64 is required"),
        ({"audioBase64": "!"}, "audioBase64 is not base64"),
    ],
)
async def test_only_wav_of_16_khz_is_transcribed(
    provider: ProviderClient, payload: dict[str, Any], message: str
) -> None:
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", payload)
        error = {"type": "error", "payload": {"message": message}}
        assert await provider.receive_control(ws) == error


async def test_a_wav_that_is_cut_off_is_transcribed(provider: ProviderClient) -> None:
    speech = wav_file(b"\0\0\0\x20" * 800)
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", stt_payload(speech[:-1_001]))
        assert await ws.recv() == built_in_lines()[0]


@pytest.mark.parametrize(("sent", "accepted"), [("", None), ("wrong", "right")])
async def test_a_bad_key_is_admitted_and_the_socket_closed_at_once(
    sent: str, accepted: str | None
) -> None:
    config = SimulatorConfig.validated({"profile": "instant", "voice": "hum", "key": accepted})
    async with Simulator(config) as sim, ProviderClient(sim).open(sent) as ws:
        assert await close_code_of(ws) == 4001


async def test_the_key_may_come_in_the_query(sim: Simulator, provider: ProviderClient) -> None:
    async with connect(sim.urls.hamsa_ws_url + "?api_key=key", proxy=None) as ws:
        assert (await provider.receive_control(ws))["type"] == "info"


async def test_another_path_is_not_found(sim: Simulator) -> None:
    with pytest.raises(InvalidStatus) as rejected:
        await connect(sim.urls.hamsa_ws_url + "x", proxy=None)
    assert rejected.value.response.status_code == 404


async def test_an_idle_socket_is_closed(sim: Simulator, provider: ProviderClient) -> None:
    sim.configure({"idle_close_s": 0.01})
    async with provider.open() as ws:
        assert await close_code_of(ws) == 1000


async def test_the_simulator_pings() -> None:
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


async def test_work_stops_when_the_client_disconnects(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"faults": {"stall": 1}})
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "tts", tts_payload())
        while not isinstance(await ws.recv(), bytes):
            pass
        ws.transport.abort()
    await last_request_ended(sim)
    assert sim.requests[-1].aborted
    assert sim.requests[-1].bytes < len(sim.expected_audio(TEXT))


async def test_sockets_are_counted_and_requests_recorded(
    sim: Simulator, provider: ProviderClient
) -> None:
    async with provider.open() as first, provider.open() as second:
        await first.recv()
        await second.recv()
        await provider.synthesize(second)
        assert sim.stats.sockets_open == 2
    assert (sim.stats.sockets_opened, sim.stats.sockets_peak) == (2, 2)
    record = sim.requests[-1]
    assert (record.kind, record.channel, record.text) == ("tts", "websocket", TEXT)
    assert record.socket == 2
    assert record.first_audio_at is not None
    assert record.ended_at is not None
    assert record.received_at <= record.first_audio_at <= record.ended_at
    assert record.bytes == len(sim.expected_audio(TEXT))
    assert not record.aborted
