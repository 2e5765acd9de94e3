"""The provider's REST door, over HTTP/1.1 and HTTP/2."""

import httpx
import pytest

from app.audio import AudioFormat
from app.simulator.transcripts import built_in_lines
from tests.simulator.provider_client import SILENT, TEXT, VOICED, ended, payload, utterance

TTS, STT = "/v1/realtime/tts-stream", "/v1/realtime/stt"


async def test_rest_speaks_byte_for_byte(sim, http):
    answer = await http.post(TTS, json=payload())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert "content-length" not in answer.headers
    assert answer.content == sim.expected_audio(TEXT)
    assert sim.stats.http_requests == {answer.http_version.removeprefix("HTTP/"): 1}


@pytest.mark.parametrize(
    ("extra", "audio_format"),
    [
        ({"mulaw": True}, AudioFormat("mulaw", 8_000)),
        ({"sampleRate": "8k"}, AudioFormat("pcm_s16le", 8_000)),
    ],
)
async def test_rest_speaks_in_the_format_that_was_asked_for(sim, http, extra, audio_format):
    answer = await http.post(TTS, json=payload(**extra))
    assert answer.content == sim.expected_audio(TEXT, audio_format)


async def test_rest_hears_the_script(sim, http):
    heard = [(await http.post(STT, json=body)).json() for body in (SILENT, VOICED)]
    assert heard == [
        {"success": True, "data": {"text": ""}},
        {"success": True, "data": {"text": built_in_lines()[0]}},
    ]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (TTS, payload(""), "text must have 1 to 2000 characters"),
        (TTS, payload(speaker=None), "speaker is required"),
        (TTS, [], "The body must be a JSON object"),
        (STT, utterance(b"\1\0" * 1_600), "Only WAV files are supported"),
    ],
)
async def test_a_bad_request_is_a_400(http, path, body, message):
    answer = await http.post(path, json=body)
    assert (answer.status_code, answer.json()) == (400, {"code": 400, "message": message})


@pytest.mark.parametrize("path", [TTS, STT])
@pytest.mark.parametrize("header", ["Bearer key", "Token", "", "key"])
async def test_only_a_token_is_a_key(http, path, header):
    answer = await http.post(path, json=payload(), headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, 401)


async def test_only_the_configured_key_is_accepted(sim, http):
    sim.configure({"key": "right"})
    assert (await http.post(TTS, json=payload())).status_code == 401
    right = await http.post(TTS, json=payload(), headers={"Authorization": "Token right"})
    assert right.status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", TTS), ("POST", "/"), ("PUT", "/simulator")])
async def test_other_paths_and_methods_are_not_found(http, method, path):
    answer = await http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, 404)


async def test_one_connection_serves_many_requests(sim, http):
    for _ in range(3):
        assert (await http.post(TTS, json=payload())).status_code == 200
    assert list(sim.stats.http_connections.values()) == [1]
    assert list(sim.stats.http_requests.values()) == [3]


async def test_work_stops_when_the_client_is_gone(sim, http):
    sim.configure({"faults": {"stall": 1}})
    async with http.stream("POST", TTS, json=payload()) as answer:
        async for _ in answer.aiter_bytes():
            break
    await http.aclose()  # of one HTTP/2 stream alone httpx says nothing to the server
    await ended(sim)
    assert sim.requests[-1].aborted
    assert sim.requests[-1].bytes < len(sim.expected_audio(TEXT))


async def test_a_plain_upgrade_is_not_needed(sim):
    """HTTP/2 by prior knowledge on the very port that serves HTTP/1.1."""
    url = sim.urls.hamsa_rest_url + TTS
    async with (
        httpx.AsyncClient(http2=True, http1=False, trust_env=False) as second,
        httpx.AsyncClient(trust_env=False) as first,
    ):
        headers = {"Authorization": "Token key"}
        answers = [await c.post(url, json=payload(), headers=headers) for c in (second, first)]
    assert [answer.http_version for answer in answers] == ["HTTP/2", "HTTP/1.1"]
    assert answers[0].content == answers[1].content
