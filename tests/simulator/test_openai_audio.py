"""The second speech provider of the simulator, over HTTP/1.1 and HTTP/2."""

from typing import Any

import httpx
import pytest

from app.audio import PCM16_16K, AudioFormat, wav
from app.simulator import Simulator
from app.simulator.openai_audio import SPEECH_PATH, TRANSCRIPTIONS_PATH
from app.simulator.transcripts import built_in_lines
from tests.simulator.provider_client import TEXT

KEY = {"Authorization": "Bearer key"}
PCM_24K = AudioFormat("pcm_s16le", 24_000)
LOUD = wav(b"\x00\x40\x00\xc0" * 8000, PCM16_16K)
SILENT = wav(bytes(32_000), PCM16_16K)


def speech(**changes: Any) -> dict[str, Any]:
    body = {"model": "m", "voice": "v", "input": TEXT, "response_format": "pcm", **changes}
    return {"json": {name: value for name, value in body.items() if value is not None}}


def form(audio: bytes = LOUD, **changes: Any) -> dict[str, Any]:
    fields = {"model": "m", "language": "ar", **changes}
    return {
        "data": {name: value for name, value in fields.items() if value is not None},
        "files": {"file": ("u.wav", audio, "audio/wav")},
    }


async def test_audio_is_pcm_at_24_khz(sim: Simulator, http: httpx.AsyncClient) -> None:
    response = await http.post(SPEECH_PATH, headers=KEY, **speech())
    assert response.status_code == 200
    assert response.content == sim.expected_audio(TEXT, PCM_24K)
    assert sim.stats.requests == {"openai.tts": 1}


async def test_transcripts_come_from_the_script(sim: Simulator, http: httpx.AsyncClient) -> None:
    responses = [
        (await http.post(TRANSCRIPTIONS_PATH, headers=KEY, **form(audio))).json()
        for audio in (SILENT, LOUD)
    ]
    assert responses == [{"text": ""}, {"text": built_in_lines()[0]}]
    assert sim.stats.requests == {"openai.stt": 2}


@pytest.mark.parametrize(
    ("path", "request_", "reason"),
    [
        (SPEECH_PATH, speech(model=None), "model"),
        (SPEECH_PATH, speech(voice=""), "voice"),
        (SPEECH_PATH, speech(input="x" * 4097), "1 to 4096"),
        (SPEECH_PATH, speech(response_format="mp3"), "pcm"),
        (SPEECH_PATH, {"content": b"[]"}, "JSON"),
        (TRANSCRIPTIONS_PATH, form(model=None), "model"),
        (TRANSCRIPTIONS_PATH, form(b"ID3"), "WAV"),
        (TRANSCRIPTIONS_PATH, {"data": {"model": "m"}}, "multipart"),
        (TRANSCRIPTIONS_PATH, {"files": {"model": (None, b"m")}}, "file"),
    ],
)
async def test_a_wrong_request_is_refused(
    http: httpx.AsyncClient, path: str, request_: dict[str, Any], reason: str
) -> None:
    response = await http.post(path, headers=KEY, **request_)
    assert response.status_code == 400
    assert reason in response.json()["error"]["message"]


@pytest.mark.parametrize("path", [SPEECH_PATH, TRANSCRIPTIONS_PATH])
async def test_a_key_is_needed(http: httpx.AsyncClient, path: str) -> None:
    for header in ("Token key", ""):
        response = await http.post(path, headers={"Authorization": header}, **speech())
        assert response.status_code == 401


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("unauthorized", 401, "invalid_api_key"),
        ("no_funds", 429, "insufficient_quota"),
        ("quota", 429, "insufficient_quota"),
        ("rate_limited", 429, "rate_limit_exceeded"),
        ("unavailable", 503, "server_error"),
        ("provider_error", 400, "server_error"),
    ],
)
@pytest.mark.parametrize("operation", ["tts", "stt"])
async def test_rejections(
    sim: Simulator, http: httpx.AsyncClient, fault: str, status: int, code: str, operation: str
) -> None:
    sim.configure({"faults": {fault: {"channel": "openai", "operation": operation}}})
    wanted = {"tts": (SPEECH_PATH, speech()), "stt": (TRANSCRIPTIONS_PATH, form())}
    for name, (path, request_) in wanted.items():
        response = await http.post(path, headers=KEY, **request_)
        if name == operation:
            assert (response.status_code, response.json()["error"]["code"]) == (status, code)
            assert ("retry-after" in response.headers) == (fault == "rate_limited")
        else:
            assert response.status_code == 200


@pytest.mark.parametrize(
    ("fault", "size"), [("truncated", 640), ("riff", None), ("odd_chunks", None)]
)
async def test_faults_of_the_stream(
    sim: Simulator, http: httpx.AsyncClient, fault: str, size: int | None
) -> None:
    sim.configure({"faults": {fault: {"channel": "openai"}}})
    audio = (await http.post(SPEECH_PATH, headers=KEY, **speech())).content
    whole = sim.expected_audio(TEXT, PCM_24K)
    assert len(audio) == size if size else audio.endswith(whole)


async def test_drop_cuts_the_body(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"faults": {"drop": {"channel": "openai"}}})
    for path, request_ in ((SPEECH_PATH, speech()), (TRANSCRIPTIONS_PATH, form())):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(path, headers=KEY, **request_)
