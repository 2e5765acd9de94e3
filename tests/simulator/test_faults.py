"""Every fault on every channel that it strikes, and whom it strikes."""

from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from app.simulator.faults import FAULT_NAMES, FaultInjector, FaultSpec
from app.simulator.throttle import ThrottleWindow
from tests.simulator.provider_client import ACK, END, TEXT, VOICED, payload

TTS, STT = "/v1/realtime/tts-stream", "/v1/realtime/stt"


async def spoken_with(sim, provider, *faults, **options):
    """Speak once on a fresh socket with faults switched on after its opening."""
    async with provider.open() as ws:
        await ws.recv()
        sim.configure({"faults": dict.fromkeys(faults, 1), **options})
        return await provider.speak(ws)


async def test_truncated_is_640_bytes_and_a_regular_end(sim, provider):
    answer = await spoken_with(sim, provider, "truncated")
    assert answer.frames == [ACK, sim.expected_audio(TEXT)[:640], END]
    assert sim.requests[-1].faults == ("truncated",)
    assert sim.stats.faults == {"truncated": 1}


async def test_truncated_over_rest_is_640_bytes_and_a_regular_end(sim, http):
    sim.configure({"faults": {"truncated": 1}})
    answer = await http.post(TTS, json=payload())
    assert (answer.status_code, len(answer.content)) == (200, 640)


async def test_drop_aborts_the_socket_amid_the_audio(sim, provider):
    sim.configure({"faults": {"drop": 1}})
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "tts", payload())
        assert await provider.control(ws) == ACK
        got = b""
        with pytest.raises(ConnectionClosedError) as dropped:
            while True:
                got += await ws.recv()
    assert dropped.value.rcvd is None  # no close frame
    # What the kernel had not delivered is lost with the connection.
    assert len(got) < len(sim.expected_audio(TEXT))
    assert sim.expected_audio(TEXT).startswith(got)


async def test_drop_cuts_the_body_of_a_rest_answer(sim, http):
    sim.configure({"faults": {"drop": 1}})
    got = b""
    with pytest.raises(httpx.RemoteProtocolError) as cut:
        async with http.stream("POST", TTS, json=payload()) as answer:
            async for chunk in answer.aiter_bytes():
                got += chunk
    assert 0 < len(got) < len(sim.expected_audio(TEXT))
    assert sim.expected_audio(TEXT).startswith(got)
    assert ("StreamReset" in str(cut.value)) == (answer.http_version == "HTTP/2")
    sim.clear_faults()
    assert (await http.post(TTS, json=payload())).content == sim.expected_audio(TEXT)


@pytest.mark.parametrize("fault", ["stall", "stall_first"])
async def test_a_stall_is_a_pause_and_nothing_is_lost(sim, provider, fault):
    answer = await spoken_with(sim, provider, fault, stall_ms=300)
    assert answer.audio == sim.expected_audio(TEXT)
    record = sim.requests[-1]
    silent_from = record.received_at if fault == "stall_first" else record.first_audio_at
    heard_at = record.first_audio_at if fault == "stall_first" else record.ended_at
    assert heard_at - silent_from >= 0.1  # the rest is for a machine that is slow to begin


@pytest.mark.parametrize("fault", ["stall", "stall_first"])
async def test_a_stall_pauses_rest_too(sim, http, fault):
    sim.configure({"faults": {fault: 1}, "stall_ms": 100})
    assert (await http.post(TTS, json=payload())).content == sim.expected_audio(TEXT)
    record = sim.requests[-1]
    assert record.ended_at - record.received_at >= 0.05


async def test_late_frames_come_after_the_end_and_before_the_next_ack(sim, provider):
    sim.configure({"faults": {"late_frames": 1}, "late_ms": 10})
    async with provider.open() as ws:
        await ws.recv()
        answer = await provider.speak(ws)
        late = [await ws.recv() for _ in range(2)]
        await provider.send(ws, "tts", payload())
        assert await provider.control(ws) == ACK
    assert answer.frames[-1] == END
    assert answer.audio + b"".join(late) == sim.expected_audio(TEXT)


async def test_late_frames_belong_to_the_request_before_even_if_the_next_is_hasty(sim, provider):
    sim.configure({"faults": {"late_frames": {"times": 1}}, "late_ms": 10})
    async with provider.open() as ws:
        await ws.recv()
        answer = await provider.speak(ws)
        await provider.send(ws, "tts", payload())
        late = [await ws.recv() for _ in range(2)]
        assert await provider.control(ws) == ACK
    assert answer.audio + b"".join(late) == sim.expected_audio(TEXT)


@pytest.mark.parametrize("shape", ["late_frames", "riff", "odd_chunks"])
async def test_shapes_leave_rest_audio_whole(sim, http, shape):
    sim.configure({"faults": {shape: 1}})
    got = (await http.post(TTS, json=payload())).content
    header = got[: len(got) - len(sim.expected_audio(TEXT))]
    assert got == header + sim.expected_audio(TEXT)
    assert header[:4] == (b"RIFF" if shape == "riff" else b"")
    assert sim.requests[-1].faults == (() if shape == "late_frames" else (shape,))


async def test_riff_is_a_streaming_header_before_the_audio(sim, provider):
    answer = await spoken_with(sim, provider, "riff")
    header, audio = answer.audio[:44], answer.audio[44:]
    assert (header[:4], header[4:8], header[8:12]) == (b"RIFF", b"\xff" * 4, b"WAVE")
    assert header[40:44] == b"\xff" * 4
    assert audio == sim.expected_audio(TEXT)


async def test_odd_chunks_split_samples(sim, provider):
    answer = await spoken_with(sim, provider, "odd_chunks")
    assert len(answer.chunks[0]) % 2 == 1
    assert answer.audio == sim.expected_audio(TEXT)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("provider_error", "aborted"),
        ("no_funds", "insufficient funds"),
        ("quota", "usage limit reached"),
    ],
)
async def test_errors_on_the_socket_leave_it_open(sim, provider, fault, message):
    async with provider.open() as ws:
        await ws.recv()
        sim.configure({"faults": {fault: {"times": 2}}})
        error = {"type": "error", "payload": {"message": message}}
        assert (await provider.speak(ws)).frames == [error]
        await provider.send(ws, "stt", VOICED)
        assert await provider.control(ws) == error
        assert (await provider.speak(ws)).frames[-1] == END


@pytest.mark.parametrize(("fault", "code"), [("unauthorized", 4001), ("unavailable", 1001)])
@pytest.mark.parametrize("kind", ["tts", "stt"])
async def test_refusals_amid_a_session_close_it(sim, provider, fault, code, kind):
    async with provider.open() as ws:
        await ws.recv()
        sim.configure({"faults": {fault: 1}})
        await provider.send(ws, kind, payload() if kind == "tts" else VOICED)
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        assert ws.close_code == code


@pytest.mark.parametrize(("fault", "code"), [("unauthorized", 4001), ("no_funds", 4003)])
async def test_refusals_after_the_handshake_close_the_socket(sim, provider, fault, code):
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
async def test_refusals_of_the_handshake(sim, provider, fault, status, header):
    sim.configure({"faults": {fault: 1}, "retry_after_s": 7})
    process = provider.open()
    process.process_redirect = lambda error: error
    with pytest.raises(InvalidStatus) as refused:
        await process
    response = refused.value.response
    assert (response.status_code, response.headers[header[0]]) == (status, header[1])
    assert sim.stats.sockets_refused == 1
    assert sim.stats.sockets_opened == 0


async def test_a_key_that_follows_a_socket_redirect_has_leaked(sim, provider):
    sim.configure({"faults": {"redirect": 1}})
    with pytest.raises(InvalidStatus):
        await provider.open()
    assert sim.stats.keys_leaked == 1


@pytest.mark.parametrize(
    ("fault", "status", "code", "message"),
    [
        ("provider_error", 400, 400, "Voice not owned by user"),
        ("unauthorized", 401, 401, "Invalid API key"),
        ("no_funds", 403, 403, "insufficient funds"),
        ("rate_limited", 429, 429, "Too many requests"),
        ("quota", 429, 10_429, "usage limit reached"),
        ("unavailable", 503, 503, "Service unavailable"),
    ],
)
@pytest.mark.parametrize("path", [TTS, STT])
async def test_refusals_over_rest(sim, http, path, fault, status, code, message):
    sim.configure({"faults": {fault: 1}, "provider_message": "Voice not owned by user"})
    answer = await http.post(path, json=payload() if path == TTS else VOICED)
    assert (answer.status_code, answer.json()) == (status, {"code": code, "message": message})
    assert answer.headers.get("retry-after") == ("1" if fault == "rate_limited" else None)


@pytest.mark.parametrize(("follow", "leaked"), [(False, 0), (True, 1)])
async def test_a_redirect_tells_whether_the_key_follows_it(sim, http, follow, leaked):
    sim.configure({"faults": {"redirect": 1}})
    answer = await http.post(TTS, json=payload(), follow_redirects=follow)
    assert answer.status_code == (404 if follow else 307)
    assert sim.stats.keys_leaked == leaked


async def test_an_endless_error_goes_on_until_the_client_leaves(sim, http):
    sim.configure({"faults": {"endless_error": 1}})
    async with http.stream("POST", TTS, json=payload()) as answer:
        pieces = 0
        async for _ in answer.aiter_bytes():
            pieces += 1
            if pieces == 3:
                break
    assert answer.status_code == 503


async def test_drop_strikes_listening_too(sim, http, provider):
    sim.configure({"faults": {"drop": {"operation": "stt"}}})
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post(STT, json=VOICED)
    async with provider.open() as ws:
        await ws.recv()
        await provider.send(ws, "stt", VOICED)
        with pytest.raises(ConnectionClosed):
            await ws.recv()


async def test_filters_choose_channel_and_operation(sim, provider, http):
    fault = {"probability": 1, "channel": "rest", "operation": "tts"}
    sim.configure({"faults": {"provider_error": fault}})
    async with provider.open() as ws:
        await ws.recv()
        assert (await provider.speak(ws)).frames[-1] == END
    assert (await http.post(STT, json=VOICED)).status_code == 200
    assert (await http.post(TTS, json=payload())).status_code == 400


async def test_a_fault_strikes_no_more_often_than_told(sim, provider):
    sim.configure({"faults": {"truncated": {"times": 2}}})
    async with provider.open() as ws:
        await ws.recv()
        sizes = [len((await provider.speak(ws)).audio) for _ in range(4)]
    whole = len(sim.expected_audio(TEXT))
    assert sizes == [640, 640, whole, whole]


@pytest.mark.parametrize("mode", ["truncated", "refused"])
async def test_sockets_beyond_the_throttle(sim, provider, mode):
    sim.configure({"throttle": {"limit": 2, "window_s": 600, "mode": mode}})
    async with provider.open() as first, provider.open() as second:
        for ws in (first, second):
            await ws.recv()
            assert (await provider.speak(ws)).audio == sim.expected_audio(TEXT)
        if mode == "refused":
            with pytest.raises(InvalidStatus) as refused:
                await provider.open()
            assert refused.value.response.status_code == 429
            assert "Retry-After" in refused.value.response.headers
        else:
            async with provider.open() as third:
                await third.recv()
                for _ in range(2):
                    assert len((await provider.speak(third)).audio) == 640
        assert (await provider.speak(first)).audio == sim.expected_audio(TEXT)
    assert sim.stats.sockets_throttled == 1


def test_the_window_slides():
    window = ThrottleWindow()
    seen = []
    for now_s in (0, 5, 10, 19, 20, 21, 26):
        seen.append(window.exceeds(now_s, limit=4, window_s=20))
        window.open(now_s)
    # At 20 the first has left the window; at 21 four are in it: 5, 10, 19, 20.
    assert seen == [False, False, False, False, False, True, True]


def test_draws_do_not_depend_on_the_order_of_requests():
    specs = {"truncated": FaultSpec(probability=0.5), "riff": FaultSpec(probability=0.5)}
    texts = [f"جملة رقم {i}." for i in range(40)] * 2
    one, other = FaultInjector(7, specs), FaultInjector(7, specs)
    forward = sorted((text, one.draw("rest", "tts", text)) for text in texts)
    backward = sorted((text, other.draw("rest", "tts", text)) for text in reversed(texts))
    assert {text for text, _ in forward} == {text for text, _ in backward}
    # Whichever came first, the first and the second draw of a text are the same two.
    assert forward == backward
    third = FaultInjector(8, specs)
    assert forward != sorted((text, third.draw("rest", "tts", text)) for text in texts)


def test_draws_meet_the_probability_and_differ_between_channels_and_repetitions():
    book = FaultInjector(0, {"truncated": FaultSpec(probability=0.3)})
    draws = [book.draw("websocket", "tts", "نعم.") for _ in range(2_000)]
    rest = [book.draw("rest", "tts", "نعم.") for _ in range(2_000)]
    assert sum(map(bool, draws)) == pytest.approx(600, abs=80)
    assert draws != rest


def test_a_request_meets_one_refusal_or_one_break():
    book = FaultInjector(0, {name: FaultSpec() for name in FAULT_NAMES})
    assert book.draw("rest", "tts", "x") == ("unauthorized",)
    for refusal in FAULT_NAMES[:8]:
        book.disarm(refusal)
    assert book.draw("websocket", "tts", "x") == (
        "truncated",
        "late_frames",
        "riff",
        "odd_chunks",
    )
    assert book.draw("agent", "agent", "x") == ("agent_404", "agent_slow")


def test_zero_probability_never_fires():
    book = FaultInjector(0, {"truncated": FaultSpec(probability=0)})
    assert not any(book.draw("rest", "tts", str(i)) for i in range(200))


async def test_a_seed_gives_two_simulators_the_same_faults(sim, provider):
    async def run() -> list[tuple[str, ...]]:
        sim.configure({"seed": 3, "faults": {"truncated": 0.5}})
        before = len(sim.requests)
        async with provider.open() as ws:
            await ws.recv()
            for text in ("نعم.", "لا.", "ربما.", "نعم.", "حسناً.", "طيب."):
                await provider.speak(ws, text)
        return [record.faults for record in sim.requests[before:]]

    first, second = await run(), await run()
    assert first == second
    assert set(first) == {(), ("truncated",)}


def test_every_fault_has_a_test():
    here = Path(__file__).parent
    tests = "".join(path.read_text(encoding="utf-8") for path in here.glob("test_*.py"))
    assert [name for name in FAULT_NAMES if f'"{name}"' not in tests] == []
