"""Every fault of the provider's REST API, over HTTP/1.1 and HTTP/2."""

import httpx
import pytest

from app.simulator import Simulator
from tests.simulator.provider_client import SPEECH, STT_PATH, TEXT, TTS_PATH, tts_payload


async def test_truncated_is_640_bytes_and_a_regular_end(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.configure({"faults": {"truncated": 1}})
    response = await http.post(TTS_PATH, json=tts_payload())
    assert (response.status_code, len(response.content)) == (200, 640)


async def test_drop_cuts_the_body(sim: Simulator, http: httpx.AsyncClient) -> None:
    """HTTP/2 loses the stream alone, HTTP/1.1 the connection."""
    sim.configure({"faults": {"drop": 1}})
    audio = b""
    with pytest.raises(httpx.RemoteProtocolError) as cut:
        async with http.stream("POST", TTS_PATH, json=tts_payload()) as response:
            async for chunk in response.aiter_bytes():
                audio += chunk
    is_http2 = response.http_version == "HTTP/2"
    assert 0 < len(audio) < len(sim.expected_audio(TEXT))
    assert sim.expected_audio(TEXT).startswith(audio)
    assert ("StreamReset" in str(cut.value)) == is_http2
    assert not sim.requests[-1].aborted  # by the client
    sim.clear_faults()
    assert (await http.post(TTS_PATH, json=tts_payload())).content == sim.expected_audio(TEXT)
    assert list(sim.stats.http_connections.values()) == [1 if is_http2 else 2]


async def test_drop_cuts_the_body_before_a_transcript(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.configure({"faults": {"drop": {"operation": "stt"}}})
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post(STT_PATH, json=SPEECH)


@pytest.mark.parametrize("fault", ["stall", "stall_first"])
async def test_a_stall_is_a_pause_and_nothing_is_lost(
    sim: Simulator, http: httpx.AsyncClient, fault: str
) -> None:
    sim.configure({"faults": {fault: 1}, "stall_ms": 100})
    assert (await http.post(TTS_PATH, json=tts_payload())).content == sim.expected_audio(TEXT)
    record = sim.requests[-1]
    assert record.ended_at is not None
    assert record.ended_at - record.received_at >= 0.05


@pytest.mark.parametrize("fault", ["late_frames", "riff", "odd_chunks"])
async def test_framing_faults_leave_the_audio_whole(
    sim: Simulator, http: httpx.AsyncClient, fault: str
) -> None:
    sim.configure({"faults": {fault: 1}})
    body = (await http.post(TTS_PATH, json=tts_payload())).content
    header = body[: len(body) - len(sim.expected_audio(TEXT))]
    assert body == header + sim.expected_audio(TEXT)
    assert header[:4] == (b"RIFF" if fault == "riff" else b"")
    assert sim.requests[-1].faults == (() if fault == "late_frames" else (fault,))


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
@pytest.mark.parametrize("path", [TTS_PATH, STT_PATH])
async def test_a_rejection_has_a_status_and_a_code(
    sim: Simulator,
    http: httpx.AsyncClient,
    path: str,
    fault: str,
    status: int,
    code: int,
    message: str,
) -> None:
    sim.configure({"faults": {fault: 1}, "provider_message": "Voice not owned by user"})
    response = await http.post(path, json=tts_payload() if path == TTS_PATH else SPEECH)
    assert (response.status_code, response.json()) == (status, {"code": code, "message": message})
    assert response.headers.get("retry-after") == ("1" if fault == "rate_limited" else None)


@pytest.mark.parametrize(("follow", "leaked"), [(False, 0), (True, 1)])
async def test_a_redirect_finds_out_whether_the_key_follows_it(
    sim: Simulator, http: httpx.AsyncClient, follow: bool, leaked: int
) -> None:
    sim.configure({"faults": {"redirect": 1}})
    response = await http.post(TTS_PATH, json=tts_payload(), follow_redirects=follow)
    assert response.status_code == (404 if follow else 307)
    assert sim.stats.keys_leaked == leaked


async def test_an_endless_error_goes_on_until_the_client_disconnects(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.configure({"faults": {"endless_error": 1}})
    async with http.stream("POST", TTS_PATH, json=tts_payload()) as response:
        pieces = 0
        async for _ in response.aiter_bytes():
            pieces += 1
            if pieces == 3:
                break
    assert response.status_code == 503
