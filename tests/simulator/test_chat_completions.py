"""The agent as a model: chat completions as OpenAI's API streams them."""

import asyncio
import json

import pytest

from app.simulator.transcripts import built_in_lines, canned_response
from tests.simulator.provider_client import ended

PATH = "/v1/chat/completions"
LINE = built_in_lines()[0]
MESSAGES = [
    {"role": "system", "content": "تكلم بالعربية."},
    {"role": "user", "content": "مرحبا"},
    {"role": "assistant", "content": "أهلاً."},
    {"role": "user", "content": LINE},
]
QUESTION = {"model": "m", "stream": True, "messages": MESSAGES}


def events_of(body: bytes) -> list[dict | str]:
    assert body.endswith(b"\n\n")
    events = body.decode().removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") for event in events)
    data = [event.removeprefix("data: ") for event in events]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


async def test_a_stream_has_the_shape_of_openai(sim, http):
    answer = await http.post(PATH, json=QUESTION)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *chunks, done = events_of(answer.content)
    assert done == "[DONE]"
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {
        ("chat.completion.chunk", "m")
    }
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) <= 2  # a second may pass
    assert all("usage" not in chunk for chunk in chunks)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == canned_response(
        LINE
    )


async def test_what_was_spent_comes_last_if_asked_for(http):
    asked = QUESTION | {"stream_options": {"include_usage": True}}
    *chunks, usage, done = events_of((await http.post(PATH, json=asked)).content)
    assert done == "[DONE]"
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert usage["choices"] == []
    spent = usage["usage"]
    assert spent["prompt_tokens"] + spent["completion_tokens"] == spent["total_tokens"]
    assert spent["completion_tokens"] == len(chunks) - 2


async def test_an_answer_can_be_whole(http):
    answer = (await http.post(PATH, json=QUESTION | {"stream": False})).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": canned_response(LINE),
    }
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_the_conversation_is_kept_for_the_test_to_see(sim, http):
    await http.post(PATH, json=QUESTION)
    record = sim.requests[-1]
    assert (record.kind, record.text, record.messages) == ("agent", LINE, MESSAGES)


async def test_a_message_may_come_in_parts(sim, http):
    parts = [{"type": "text", "text": "السلام"}, {"type": "image_url"}, {"text": " عليكم"}]
    await http.post(PATH, json=QUESTION | {"messages": [{"role": "user", "content": parts}]})
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
async def test_a_bad_request_is_refused_by_the_name_of_its_parameter(sim, http, body, param):
    answer = await http.post(PATH, json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert not sim.requests


async def test_an_unknown_model_is_404(sim, http):
    sim.configure({"faults": {"agent_404": 1}})
    answer = await http.post(PATH, json=QUESTION)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("fault", ["agent_cut", "agent_error", "agent_empty"])
async def test_answers_that_fail(sim, http, fault):
    sim.configure({"faults": {fault: 1}})
    answer = await http.post(PATH, json=QUESTION)
    assert answer.status_code == 200
    events = events_of(answer.content) if answer.content else []
    assert "[DONE]" not in events
    if fault == "agent_empty":
        assert events == []
    elif fault == "agent_error":
        assert events[-1]["error"]["type"] == "server_error"
    else:
        assert events[-1]["choices"][0]["finish_reason"] is None
    whole = await http.post(PATH, json=QUESTION | {"stream": False})
    if fault == "agent_error":
        assert whole.status_code == 500
    else:
        assert whole.json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("fault", "awaited"), [("agent_endless", "error"), ("agent_stall", ": keep-alive")]
)
async def test_answers_that_never_end(sim, http, fault, awaited):
    sim.configure({"faults": {fault: 1}, "agent_keepalive_s": 0.01})
    async with http.stream("POST", PATH, json=QUESTION) as answer:
        lines = answer.aiter_lines()
        while awaited not in await anext(lines):
            pass
        if fault == "agent_endless":
            assert await anext(lines) == ""
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(lines)
    await http.aclose()  # of one HTTP/2 stream alone httpx says nothing to the server
    await ended(sim)
    assert sim.stats.agent_aborted == 1


async def test_the_answers_can_be_configured(sim, http):
    sim.configure({"answers": {LINE: "نعم."}})
    *chunks, _ = events_of((await http.post(PATH, json=QUESTION)).content)
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == "نعم."
    streamed = await http.post("/webhook/agent", json={"text": LINE, "session_id": "s"})
    assert '"content":"نعم."' in streamed.text
    assert sim.config.answers == {LINE: "نعم."}
