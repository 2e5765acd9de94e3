"""The agent as a model: chat completions as OpenAI's API streams them."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from app.simulator import Simulator
from app.simulator.chat_completions import PATH
from app.simulator.transcripts import built_in_lines, canned_response
from tests.simulator.provider_client import last_request_ended

LINE = built_in_lines()[0]
RESPONSE = canned_response(LINE)
MESSAGES = [
    {"role": "system", "content": "تكلم بالعربية."},
    {"role": "user", "content": "مرحبا"},
    {"role": "assistant", "content": "أهلاً."},
    {"role": "user", "content": LINE},
]
REQUEST = {"model": "m", "stream": True, "messages": MESSAGES}


def events_of(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return the data of all server-sent events, and whether `[DONE]` came last."""
    assert body.endswith(b"\n\n")
    events = body.decode().removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") for event in events)
    data = [event.removeprefix("data: ") for event in events]
    done = data[-1] == "[DONE]"
    return [json.loads(each) for each in data[: len(data) - done]], done


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


async def test_a_stream_has_the_shape_of_openai(http: httpx.AsyncClient) -> None:
    response = await http.post(PATH, json=REQUEST)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks, done = events_of(response.content)
    assert done
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {
        ("chat.completion.chunk", "m")
    }
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) <= 2  # a second may pass
    assert all("usage" not in chunk for chunk in chunks)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert text_of(chunks) == RESPONSE


async def test_usage_comes_last_if_asked_for(http: httpx.AsyncClient) -> None:
    request = REQUEST | {"stream_options": {"include_usage": True}}
    (*chunks, last), done = events_of((await http.post(PATH, json=request)).content)
    assert done
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    usage = last["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
    assert usage["completion_tokens"] == len(chunks) - 2


async def test_a_response_can_be_whole(http: httpx.AsyncClient) -> None:
    response = (await http.post(PATH, json=REQUEST | {"stream": False})).json()
    assert response["object"] == "chat.completion"
    assert response["choices"][0]["message"] == {"role": "assistant", "content": RESPONSE}
    assert response["choices"][0]["finish_reason"] == "stop"


async def test_the_messages_are_recorded(sim: Simulator, http: httpx.AsyncClient) -> None:
    await http.post(PATH, json=REQUEST)
    record = sim.requests[-1]
    assert (record.kind, record.text, record.messages) == ("agent", LINE, MESSAGES)


async def test_a_message_may_come_in_parts(sim: Simulator, http: httpx.AsyncClient) -> None:
    parts = [{"type": "text", "text": "السلام"}, {"type": "image_url"}, {"text": " عليكم"}]
    await http.post(PATH, json=REQUEST | {"messages": [{"role": "user", "content": parts}]})
    assert sim.requests[-1].text == "السلام عليكم"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": ["x"]}, "messages[0]"),
        ([], None),
    ],
)
async def test_a_bad_request_is_refused_by_the_name_of_its_parameter(
    sim: Simulator, http: httpx.AsyncClient, body: object, param: str | None
) -> None:
    response = await http.post(PATH, json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert not sim.requests


async def test_an_unknown_model_is_404(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"faults": {"agent_404": 1}})
    response = await http.post(PATH, json=REQUEST)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("fault", ["agent_cut", "agent_error", "agent_empty"])
async def test_responses_that_fail(sim: Simulator, http: httpx.AsyncClient, fault: str) -> None:
    sim.configure({"faults": {fault: 1}})
    response = await http.post(PATH, json=REQUEST)
    assert response.status_code == 200
    if fault == "agent_empty":
        assert response.content == b""
    else:
        chunks, done = events_of(response.content)
        assert not done
        if fault == "agent_error":
            assert chunks[-1]["error"]["type"] == "server_error"
        else:
            assert chunks[-1]["choices"][0]["finish_reason"] is None
    whole = await http.post(PATH, json=REQUEST | {"stream": False})
    if fault == "agent_error":
        assert whole.status_code == 500
    else:
        assert whole.json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("fault", "awaited"), [("agent_endless", "error"), ("agent_stall", ": keep-alive")]
)
async def test_responses_that_never_end(
    sim: Simulator, http: httpx.AsyncClient, fault: str, awaited: str
) -> None:
    sim.configure({"faults": {fault: 1}, "agent_keepalive_s": 0.01})
    async with http.stream("POST", PATH, json=REQUEST) as response:
        lines = response.aiter_lines()
        while awaited not in await anext(lines):
            pass
        if fault == "agent_endless":
            assert await anext(lines) == ""
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(lines)
    await http.aclose()  # of one HTTP/2 stream alone httpx says nothing to the server
    await last_request_ended(sim)
    assert sim.stats.agent_aborted == 1


async def test_the_responses_can_be_configured(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"answers": {LINE: "نعم."}})
    chunks, _ = events_of((await http.post(PATH, json=REQUEST)).content)
    assert text_of(chunks) == "نعم."
    streamed = await http.post("/webhook/agent", json={"text": LINE, "session_id": "s"})
    assert '"content":"نعم."' in streamed.text
    assert sim.config.answers == {LINE: "نعم."}
