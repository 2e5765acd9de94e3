"""The provider's REST API, over HTTP/1.1 and HTTP/2."""

import asyncio
from typing import Any

import httpx
import pytest

from app.audio import AudioFormat
from app.simulator import Simulator
from app.simulator.transcripts import built_in_lines
from tests.simulator.provider_client import (
    SILENCE,
    SPEECH,
    STT_PATH,
    TEXT,
    TTS_PATH,
    last_request_ended,
    stt_payload,
    tts_payload,
)


async def test_audio_comes_byte_for_byte(sim: Simulator, http: httpx.AsyncClient) -> None:
    response = await http.post(TTS_PATH, json=tts_payload())
    assert response.status_code == 200
    assert response.headers["content-type"] == "audio/wav"
    assert "content-length" not in response.headers
    assert response.content == sim.expected_audio(TEXT)
    assert sim.stats.http_requests == {response.http_version.removeprefix("HTTP/"): 1}


async def test_the_status_comes_with_the_first_audio(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.configure({"timing": {"first_audio_ms": 60_000}})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            async with http.stream("POST", TTS_PATH, json=tts_payload()):
                pass


@pytest.mark.parametrize(
    ("extra", "audio_format"),
    [
        ({"mulaw": True}, AudioFormat("mulaw", 8_000)),
        ({"sampleRate": "8k"}, AudioFormat("pcm_s16le", 8_000)),
    ],
)
async def test_audio_comes_in_the_requested_format(
    sim: Simulator, http: httpx.AsyncClient, extra: dict[str, Any], audio_format: AudioFormat
) -> None:
    response = await http.post(TTS_PATH, json=tts_payload(**extra))
    assert response.content == sim.expected_audio(TEXT, audio_format)


async def test_transcripts_come_from_the_script(http: httpx.AsyncClient) -> None:
    responses = [(await http.post(STT_PATH, json=body)).json() for body in (SILENCE, SPEECH)]
    assert responses == [
        {"success": True, "data": {"text": ""}},
        {"success": True, "data": {"text": built_in_lines()[0]}},
    ]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (TTS_PATH, tts_payload(""), "text must have 1 to 2000 characters"),
        (TTS_PATH, tts_payload(speaker=None), "speaker is required"),
        (TTS_PATH, [], "The body must be a JSON object"),
        (STT_PATH, stt_payload(b"\1\0" * 1_600), "Only WAV files are supported"),
    ],
)
async def test_a_bad_request_is_a_400(
    http: httpx.AsyncClient, path: str, body: object, message: str
) -> None:
    response = await http.post(path, json=body)
    assert (response.status_code, response.json()) == (400, {"code": 400, "message": message})


@pytest.mark.parametrize("path", [TTS_PATH, STT_PATH])
@pytest.mark.parametrize("header", ["Bearer key", "Token", "", "key"])
async def test_only_a_token_is_a_key(http: httpx.AsyncClient, path: str, header: str) -> None:
    response = await http.post(path, json=tts_payload(), headers={"Authorization": header})
    assert (response.status_code, response.json()["code"]) == (401, 401)


async def test_only_the_configured_key_is_accepted(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"key": "right"})
    assert (await http.post(TTS_PATH, json=tts_payload())).status_code == 401
    headers = {"Authorization": "Token right"}
    assert (await http.post(TTS_PATH, json=tts_payload(), headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", TTS_PATH), ("POST", "/"), ("PUT", "/simulator")]
)
async def test_other_paths_and_methods_are_not_found(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await http.request(method, path)
    assert (response.status_code, response.json()["code"]) == (404, 404)


async def test_one_connection_serves_many_requests(sim: Simulator, http: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await http.post(TTS_PATH, json=tts_payload())).status_code == 200
    assert list(sim.stats.http_connections.values()) == [1]
    assert list(sim.stats.http_requests.values()) == [3]


async def test_work_stops_when_the_client_disconnects(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.configure({"faults": {"stall": 1}})
    async with http.stream("POST", TTS_PATH, json=tts_payload()) as response:
        async for _ in response.aiter_bytes():
            break
    await http.aclose()  # of one HTTP/2 stream alone httpx says nothing to the server
    await last_request_ended(sim)
    assert sim.requests[-1].aborted
    assert sim.requests[-1].bytes < len(sim.expected_audio(TEXT))


async def test_one_port_serves_both_versions_without_an_upgrade(sim: Simulator) -> None:
    url = sim.urls.hamsa_rest_url + TTS_PATH
    async with (
        httpx.AsyncClient(http2=True, http1=False, trust_env=False) as http2,
        httpx.AsyncClient(trust_env=False) as http1,
    ):
        headers = {"Authorization": "Token key"}
        responses = [
            await client.post(url, json=tts_payload(), headers=headers) for client in (http2, http1)
        ]
    assert [response.http_version for response in responses] == ["HTTP/2", "HTTP/1.1"]
    assert responses[0].content == responses[1].content
