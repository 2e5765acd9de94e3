"""The agent's webhook, compared with what a real n8n sends."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from app.simulator import Simulator
from app.simulator.n8n_webhook import PATH
from app.simulator.transcripts import canned_response
from tests.simulator.provider_client import last_request_ended

USER_TURN = {"text": "هل عندكم فرع في تبوك؟", "session_id": "s1"}
RESPONSE = canned_response(USER_TURN["text"])


def lines_of(body: bytes) -> list[dict[str, Any]]:
    assert body == b"" or body.endswith(b"\n")
    return [json.loads(line) for line in body.split(b"\n")[:-1]]


async def test_a_stream_has_the_shape_of_n8n(sim: Simulator, http: httpx.AsyncClient) -> None:
    response = await http.post(PATH, json=USER_TURN)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert "content-length" not in response.headers
    assert response.headers["cache-control"] == "no-cache"
    lines = lines_of(response.content)
    types = [line["type"] for line in lines]
    assert types == ["begin", *["item"] * (len(lines) - 2), "end"]
    keys = ["nodeId", "nodeName", "itemIndex", "runIndex", "timestamp"]
    assert all(list(line["metadata"]) == keys for line in lines)
    assert {line["metadata"]["nodeName"] for line in lines} == {"Voice Agent"}
    items = [line["content"] for line in lines[1:-1]]
    assert "".join(items) == RESPONSE
    assert "" in items
    assert USER_TURN["text"] in "".join(items)
    assert "شحنة".encode() in response.content  # Arabic as it is, not escaped


async def test_one_line_is_one_chunk(sim: Simulator) -> None:
    request = json.dumps(USER_TURN).encode()
    port = sim.urls.hamsa_rest_url.rpartition(":")[2]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request)}\r\n\r\n"
    writer.write(head.encode() + request)
    response = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b"transfer-encoding: chunked" in response
    assert b"connection: keep-alive" in response
    chunks = []
    while size := int(await reader.readline(), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert len(chunks) > 20
    assert all(chunk.endswith(b"\n") and chunk.count(b"\n") == 1 for chunk in chunks)


async def test_a_response_can_be_one_object(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"agent_mode": "json"})
    response = await http.post(PATH, json=USER_TURN)
    assert response.json() == {"output": RESPONSE}
    assert "content-length" in response.headers


async def test_a_response_can_be_plain_text(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"agent_mode": "text"})
    response = await http.post(PATH, json=USER_TURN)
    assert response.text == RESPONSE
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", PATH), ("POST", "/webhook/other"), ("POST", f"{PATH}/")]
)
async def test_wrong_path_and_wrong_method_are_404(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await http.request(method, path)
    assert (response.status_code, response.json()["code"]) == (404, 404)
    name = path.removeprefix("/webhook/")
    assert response.json()["message"] == (
        f'The requested webhook "{method} {name}" is not registered.'
    )


async def test_bad_json_is_422(http: httpx.AsyncClient) -> None:
    response = await http.post(PATH, content=b"{")
    assert (response.status_code, response.json()["code"]) == (422, 422)


@pytest.mark.parametrize(
    ("fault", "last"),
    [("agent_error", "error"), ("agent_cut", "item"), ("agent_slow", "end")],
)
async def test_responses_that_end(
    sim: Simulator, http: httpx.AsyncClient, fault: str, last: str
) -> None:
    sim.configure({"faults": {fault: 1}, "agent_slow_ms": 50})
    lines = lines_of((await http.post(PATH, json=USER_TURN)).content)
    assert (lines[0]["type"], lines[-1]["type"]) == ("begin", last)
    text = "".join(line["content"] for line in lines if line["type"] == "item")
    assert RESPONSE.startswith(text)
    assert (text == RESPONSE) == (fault == "agent_slow")
    if fault == "agent_error":
        metadata = ["nodeId", "nodeName", "runIndex", "itemIndex"]
        assert list(lines[-1]["metadata"]) == metadata
    if fault == "agent_slow":
        record = sim.requests[-1]
        assert record.first_audio_at is not None
        assert record.first_audio_at - record.received_at >= 0.04


async def test_an_empty_response_is_a_200_without_body(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.configure({"faults": {"agent_empty": 1}})
    response = await http.post(PATH, json=USER_TURN)
    assert (response.status_code, response.content) == (200, b"")


async def test_an_inactive_workflow_is_404(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"faults": {"agent_404": 1}})
    assert (await http.post(PATH, json=USER_TURN)).status_code == 404


@pytest.mark.parametrize(
    ("fault", "awaited"), [("agent_endless", "error"), ("agent_stall", "keepalive")]
)
async def test_responses_that_never_end(
    sim: Simulator, http: httpx.AsyncClient, fault: str, awaited: str
) -> None:
    sim.configure({"faults": {fault: 1}, "agent_keepalive_s": 0.01})
    types: list[str] = []
    async with http.stream("POST", PATH, json=USER_TURN) as response:
        lines = response.aiter_lines()
        while awaited not in types:
            types.append(json.loads(await anext(lines))["type"])
        if fault == "agent_endless":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(lines)
    assert "end" not in types
    await http.aclose()  # of one HTTP/2 stream alone httpx says nothing to the server
    await last_request_ended(sim)
    assert sim.requests[-1].aborted
    assert sim.stats.agent_aborted == 1


@pytest.mark.parametrize("mode", ["stream", "json"])
async def test_a_client_that_disconnects_is_counted(sim: Simulator, mode: str) -> None:
    """Also before the first byte of the response, where Starlette alone would not notice."""
    sim.configure({"timing": {"agent_token_ms": 60_000}, "agent_mode": mode})
    async with httpx.AsyncClient(trust_env=False) as client:
        request = asyncio.create_task(client.post(sim.urls.agent_webhook_url, json=USER_TURN))
        while not sim.requests:
            await asyncio.sleep(0)
        request.cancel()
        await last_request_ended(sim)
    assert sim.requests[-1].aborted
    assert sim.stats.agent_aborted == 1
