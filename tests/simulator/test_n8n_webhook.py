"""The agent's webhook, compared with what a real n8n sends."""

import asyncio
import json
import re
from itertools import pairwise

import httpx
import pytest

from app.simulator.agent_plan import plan_response, split_into_tokens
from app.simulator.profiles import PROFILES
from app.simulator.transcripts import built_in_lines, canned_response
from tests.simulator.provider_client import ended

PATH = "/webhook/agent"
QUESTION = {"text": "هل عندكم فرع في تبوك؟", "session_id": "s1"}


def lines_of(body: bytes) -> list[dict]:
    assert body == b"" or body.endswith(b"\n")
    return [json.loads(line) for line in body.split(b"\n")[:-1]]


def sentences_of(answer: str) -> list[str]:
    return re.split(r"(?<=[.؟])\s+", answer)


async def test_a_stream_has_the_shape_of_n8n(sim, http):
    answer = await http.post(PATH, json=QUESTION)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "content-length" not in answer.headers
    assert answer.headers["cache-control"] == "no-cache"
    lines = lines_of(answer.content)
    types = [line["type"] for line in lines]
    assert types == ["begin", *["item"] * (len(lines) - 2), "end"]
    keys = ["nodeId", "nodeName", "itemIndex", "runIndex", "timestamp"]
    assert all(list(line["metadata"]) == keys for line in lines)
    assert {line["metadata"]["nodeName"] for line in lines} == {"Voice Agent"}
    items = [line["content"] for line in lines[1:-1]]
    assert "".join(items) == canned_response(QUESTION["text"])
    assert "" in items
    assert QUESTION["text"] in "".join(items)
    assert "شحنة".encode() in answer.content  # Arabic as it is, not escaped


async def test_one_line_is_one_chunk(sim):
    request = json.dumps(QUESTION).encode()
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


@pytest.mark.parametrize("line", built_in_lines())
def test_the_built_in_conversation_has_speakable_answers(line):
    sentences = sentences_of(canned_response(line))
    assert 3 <= len(sentences) <= 4
    assert all(50 <= len(sentence) <= 120 for sentence in sentences)
    assert all(sentence[-1] in ".؟" for sentence in sentences)


def test_any_other_text_is_quoted_and_long_ones_are_cut():
    assert "كيف الحال" in canned_response("كيف   الحال")
    assert len(sentences_of(canned_response("كيف الحال"))) >= 3
    assert len(canned_response("ب" * 5_000)) < 600


def test_the_built_in_script_is_a_call_about_a_shipment():
    assert len(built_in_lines()) == 6
    assert any("NQL.123" in line for line in built_in_lines())


async def test_the_answer_can_be_one_object(sim, http):
    sim.configure({"agent_mode": "json"})
    answer = await http.post(PATH, json=QUESTION)
    assert answer.json() == {"output": canned_response(QUESTION["text"])}
    assert "content-length" in answer.headers


async def test_the_answer_can_be_plain_text(sim, http):
    sim.configure({"agent_mode": "text"})
    answer = await http.post(PATH, json=QUESTION)
    assert answer.text == canned_response(QUESTION["text"])
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", "/webhook/other")])
async def test_wrong_path_and_wrong_method_are_404(http, method, path):
    answer = await http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, 404)
    assert "is not registered" in answer.json()["message"]


async def test_bad_json_is_422(http):
    answer = await http.post(PATH, content=b"{")
    assert (answer.status_code, answer.json()["code"]) == (422, 422)


@pytest.mark.parametrize(
    ("fault", "last"),
    [("agent_error", "error"), ("agent_cut", "item"), ("agent_slow", "end")],
)
async def test_answers_that_end(sim, http, fault, last):
    sim.configure({"faults": {fault: 1}, "agent_slow_ms": 20})
    lines = lines_of((await http.post(PATH, json=QUESTION)).content)
    assert (lines[0]["type"], lines[-1]["type"]) == ("begin", last)
    whole = canned_response(QUESTION["text"])
    said = "".join(line["content"] for line in lines if line["type"] == "item")
    assert whole.startswith(said)
    assert (said == whole) == (fault == "agent_slow")
    if fault == "agent_error":
        metadata = ["nodeId", "nodeName", "runIndex", "itemIndex"]
        assert list(lines[-1]["metadata"]) == metadata
    if fault == "agent_slow":
        record = sim.requests[-1]
        assert record.first_audio_at - record.received_at >= 0.019


async def test_an_empty_answer_is_a_200_without_body(sim, http):
    sim.configure({"faults": {"agent_empty": 1}})
    answer = await http.post(PATH, json=QUESTION)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_an_inactive_workflow_is_404(sim, http):
    sim.configure({"faults": {"agent_404": 1}})
    assert (await http.post(PATH, json=QUESTION)).status_code == 404


@pytest.mark.parametrize(
    ("fault", "awaited"), [("agent_endless", "error"), ("agent_stall", "keepalive")]
)
async def test_answers_that_never_end(sim, http, fault, awaited):
    sim.configure({"faults": {fault: 1}, "agent_keepalive_s": 0.01})
    types: list[str] = []
    async with http.stream("POST", PATH, json=QUESTION) as answer:
        lines = answer.aiter_lines()
        while awaited not in types:
            types.append(json.loads(await anext(lines))["type"])
        if fault == "agent_endless":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(lines)
    assert "end" not in types
    await http.aclose()  # of one HTTP/2 stream alone httpx says nothing to the server
    await ended(sim)
    assert sim.requests[-1].aborted
    assert sim.stats.agent_aborted == 1


async def test_a_client_that_leaves_is_counted(sim):
    sim.configure({"timing": {"agent_token_ms": 60_000}})
    async with httpx.AsyncClient(trust_env=False) as client:
        async with client.stream("POST", sim.urls.agent_webhook_url, json=QUESTION) as answer:
            await anext(answer.aiter_raw())
        await ended(sim)
    assert sim.stats.agent_aborted == 1


def test_pieces_are_words_and_lose_nothing():
    answer = canned_response(built_in_lines()[0])
    assert "".join(split_into_tokens(answer)) == answer
    assert split_into_tokens(answer).count("") >= 3


def test_the_measured_profile_spreads_an_answer_evenly_over_6400_ms():
    steps = plan_response(canned_response(built_in_lines()[0]), PROFILES["measured"], (), 5)
    times = [step.at_s for step in steps if step.action == "item"]
    gaps = [b - a for a, b in pairwise(times)]
    assert (times[0], times[-1]) == (1.0, pytest.approx(6.4))
    assert max(gaps) - min(gaps) < 1e-9
