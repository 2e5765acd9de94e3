"""Bounds on agent and provider as the operator sets them, in a whole gateway."""

import pytest

from app.simulator import Simulator
from tests.gateway import Event, calling, of_type, running_gateway, settings_for
from tests.net.scripted_http1 import scripted_http1, whole

MANY_HEADERS = [f"X-{number}: x" for number in range(20)]
LONG_LINE = b'{"output": "%s"}' % (b"x" * 2000)
MANY_VALUES = b'{"output": "x", "rows": [%s0]}' % (b"[]," * 60_000)
NO_PAUSE = b"kalima " * 60


async def events_of_turn(simulator: Simulator, agent_url: str, **limits: int) -> list[Event]:
    settings = settings_for(simulator, agent_webhook_url=agent_url, **limits)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "سلام"})
        return await caller.until("done")


@pytest.mark.parametrize(
    ("body", "headers", "limits", "code"),
    [
        (b"ok", MANY_HEADERS, {"http_max_headers": 16}, "agent-unreachable"),
        (LONG_LINE, [], {"agent_max_line_bytes": 1024}, "agent-failed"),
        (MANY_VALUES, [], {}, "agent-failed"),
    ],
    ids=["headers", "line", "values"],
)
async def test_an_agent_beyond_a_bound_fails_the_turn(
    simulator: Simulator, body: bytes, headers: list[str], limits: dict[str, int], code: str
) -> None:
    async with scripted_http1(whole(body, "200 OK", *headers)) as agent:
        events = await events_of_turn(simulator, agent.url, **limits)
    assert [event["code"] for event in of_type(events, "error")] == [code]


async def test_text_without_a_pause_is_spoken_in_parts_of_the_length_that_is_set(
    simulator: Simulator,
) -> None:
    async with scripted_http1(whole(NO_PAUSE)) as agent:
        events = await events_of_turn(simulator, agent.url, tts_max_sentence_chars=200)
    sentences = [event["text"] for event in of_type(events, "sentence")]
    assert len(sentences) >= 3
    assert max(map(len, sentences)) <= 200
    assert " ".join(sentences).split() == NO_PAUSE.decode().split()
    assert not of_type(events, "error")
