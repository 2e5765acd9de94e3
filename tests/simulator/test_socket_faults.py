"""Every fault of the provider's socket."""

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from app.simulator import Simulator
from tests.simulator.provider_client import (
    ACK,
    END,
    SPEECH,
    TEXT,
    ProviderClient,
    ReceivedStream,
    tts_payload,
)


async def synthesize_with(
    sim: Simulator, provider: ProviderClient, fault: str, **options: Any
) -> ReceivedStream:
    """Synthesize once on a fresh socket, with a fault that is set after its opening."""
    async with provider.open() as ws:
        await ws.recv()
        sim.configure({"faults": {fault: 1}, **options})
        return await provider.synthesize(ws)


async def test_truncated_is_640_bytes_and_a_regular_end(
    sim: Simulator, provider: ProviderClient
) -> None:
    stream = await synthesize_with(sim, provider, "truncated")
    assert stream.frames == [ACK, sim.expected_audio(TEXT)[:640], END]
    assert sim.requests[-1].faults == ("truncated",)
    assert sim.stats.faults == {"truncated": 1}


async def test_drop_aborts_the_socket_amid_the_audio(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"faults": {"drop": 1}})
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "tts", tts_payload())
        assert await provider.receive_control(ws) == ACK
        audio = b""
        with pytest.raises(ConnectionClosedError) as dropped:
            while True:
                frame = await ws.recv()
                assert isinstance(frame, bytes)
                audio += frame
    assert dropped.value.rcvd is None  # no close frame
    # What the kernel had not delivered is lost with the connection.
    assert len(audio) < len(sim.expected_audio(TEXT))
    assert sim.expected_audio(TEXT).startswith(audio)


async def test_drop_aborts_the_socket_before_a_transcript(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"faults": {"drop": {"operation": "stt"}}})
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", SPEECH)
        with pytest.raises(ConnectionClosed):
            await ws.recv()


@pytest.mark.parametrize("fault", ["stall", "stall_first"])
async def test_a_stall_is_a_pause_and_nothing_is_lost(
    sim: Simulator, provider: ProviderClient, fault: str
) -> None:
    stream = await synthesize_with(sim, provider, fault, stall_ms=300)
    assert stream.audio == sim.expected_audio(TEXT)
    record = sim.requests[-1]
    assert record.first_audio_at is not None
    assert record.ended_at is not None
    if fault == "stall_first":
        pause_s = record.first_audio_at - record.received_at
    else:
        pause_s = record.ended_at - record.first_audio_at
    assert pause_s >= 0.1  # the rest is for a machine that is slow to begin


async def test_late_frames_come_after_the_end_and_before_the_next_ack(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"faults": {"late_frames": 1}, "late_ms": 10})
    async with provider.open() as ws:
        await ws.recv()
        stream = await provider.synthesize(ws)
        late = [await ws.recv(decode=False) for _ in range(2)]
        await provider.send(ws, "tts", tts_payload())
        assert await provider.receive_control(ws) == ACK
    assert stream.frames[-1] == END
    assert stream.audio + b"".join(late) == sim.expected_audio(TEXT)


async def test_late_frames_precede_the_next_request_even_if_it_is_sent_before_them(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"faults": {"late_frames": {"times": 1}}, "late_ms": 10})
    async with provider.open() as ws:
        await ws.recv()
        stream = await provider.synthesize(ws)
        await provider.send(ws, "tts", tts_payload())
        late = [await ws.recv(decode=False) for _ in range(2)]
        assert await provider.receive_control(ws) == ACK
    assert stream.audio + b"".join(late) == sim.expected_audio(TEXT)


async def test_riff_is_a_streaming_header_before_the_audio(
    sim: Simulator, provider: ProviderClient
) -> None:
    stream = await synthesize_with(sim, provider, "riff")
    header, audio = stream.audio[:44], stream.audio[44:]
    assert (header[:4], header[4:8], header[8:12]) == (b"RIFF", b"\xff" * 4, b"WAVE")
    assert header[40:44] == b"\xff" * 4
    assert audio == sim.expected_audio(TEXT)


async def test_odd_chunks_split_samples(sim: Simulator, provider: ProviderClient) -> None:
    stream = await synthesize_with(sim, provider, "odd_chunks")
    assert len(stream.chunks[0]) % 2 == 1
    assert stream.audio == sim.expected_audio(TEXT)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("provider_error", "aborted"),
        ("no_funds", "insufficient funds"),
        ("quota", "usage limit reached"),
    ],
)
async def test_an_error_leaves_the_socket_open(
    sim: Simulator, provider: ProviderClient, fault: str, message: str
) -> None:
    async with provider.open() as ws:
        await ws.recv()
        sim.configure({"faults": {fault: {"times": 2}}})
        error = {"type": "error", "payload": {"message": message}}
        assert (await provider.synthesize(ws)).frames == [error]
        await provider.send(ws, "stt", SPEECH)
        assert await provider.receive_control(ws) == error
        assert (await provider.synthesize(ws)).frames[-1] == END


@pytest.mark.parametrize(("fault", "code"), [("unauthorized", 4001), ("unavailable", 1001)])
@pytest.mark.parametrize("kind", ["tts", "stt"])
async def test_a_rejection_amid_a_session_closes_the_socket(
    sim: Simulator, provider: ProviderClient, fault: str, code: int, kind: str
) -> None:
    async with provider.open() as ws:
        await ws.recv()
        sim.configure({"faults": {fault: 1}})
        await provider.send(ws, kind, tts_payload() if kind == "tts" else SPEECH)
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        assert ws.close_code == code


@pytest.mark.parametrize(("fault", "code"), [("unauthorized", 4001), ("no_funds", 4003)])
async def test_a_rejection_after_the_handshake_closes_the_socket(
    sim: Simulator, provider: ProviderClient, fault: str, code: int
) -> None:
    sim.configure({"faults": {fault: {"operation": "connect"}}})
    async with provider.open() as ws:
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        assert ws.close_code == code


@pytest.mark.parametrize(
    ("fault", "status", "header"),
    [
        ("rate_limited", 429, ("Retry-After", "7")),
        ("unavailable", 503, ("Connection", "close")),
        ("redirect", 302, ("Location", "/elsewhere")),
    ],
)
async def test_a_rejected_handshake_has_a_status(
    sim: Simulator,
    provider: ProviderClient,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    status: int,
    header: tuple[str, str],
) -> None:
    sim.configure({"faults": {fault: 1}, "retry_after_s": 7})
    opening = provider.open()
    monkeypatch.setattr(opening, "process_redirect", lambda error: error)  # follow none
    with pytest.raises(InvalidStatus) as rejected:
        await opening
    response = rejected.value.response
    assert (response.status_code, response.headers[header[0]]) == (status, header[1])
    assert sim.stats.sockets_refused == 1
    assert sim.stats.sockets_opened == 0


async def test_a_key_that_follows_a_redirect_has_leaked(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"faults": {"redirect": 1}})
    with pytest.raises(InvalidStatus):
        await provider.open()
    assert sim.stats.keys_leaked == 1
