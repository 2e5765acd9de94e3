"""A whole gateway before a webhook: data, text that nobody hears, and what the agent is told."""

import json
from typing import Any

import pytest

from app.pipeline.client_data import MAX_DATA_BYTES, MAX_DATA_EVENTS
from tests.agents.conftest import END, HEAD, Exchange, chunk, serve
from tests.agents.lines import line, run
from tests.api.clients.models import assert_fits
from tests.gateway import Event, calling, instant_simulator, running_gateway, settings_for

CARD = {"order": 7, "items": ["قهوة"], "big": 2**53}


def item_of_data(value: object) -> bytes:
    return run(json.dumps({"type": "data", "data": value}), node="Card")


ANSWERS = {
    "card": item_of_data(CARD) + run("هذا طلبك."),
    "nodes": run("لحظة.", node="Filler") + run("مسودة", node="Draft") + run("هذا طلبك."),
    "large": item_of_data("a" * MAX_DATA_BYTES) + item_of_data(CARD) + run("هذا طلبك."),
    "many": item_of_data(CARD) * (MAX_DATA_EVENTS + 1) + run("هذا طلبك."),
    "deep": run('{"type":"data","data":' + "[" * 300 + "]" * 300 + "}") + run("هذا طلبك."),
}


async def answer(exchange: Exchange) -> None:
    """Answer by the script that the text names; a text that is none is never answered."""
    text = json.loads(exchange.body)["text"]
    if text not in ANSWERS:
        await exchange.send(
            HEAD,
            chunk(line("begin") + line("item", "هذه جملة أولى طويلة بما يكفي لتقال وحدها. وهذه")),
        )
        await exchange.gone()
    else:
        await exchange.send(HEAD, chunk(ANSWERS[text]), END)


async def turn(url: str, text: str) -> list[Event]:
    async with calling(url) as caller:
        await caller.send({"type": "text", "text": text})
        events = await caller.until("done")
    for event in events:
        assert_fits(event)
    return events


def of_kind(events: list[Event], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


async def test_data_and_unspoken_text_reach_the_client() -> None:
    async with (
        serve(answer) as webhook,
        instant_simulator() as simulator,
        running_gateway(settings_for(simulator, agent_webhook_url=webhook.url)) as url,
    ):
        card, nodes = await turn(url, "card"), await turn(url, "nodes")
        dropped = [await turn(url, text) for text in ("large", "many", "deep")]
    (event,) = of_kind(card, "data")
    assert (event["data"], event["source"], event["turn"]) == (CARD, "Card", 1)
    assert [each["text"] for each in of_kind(card, "agent_response")] == ["هذا طلبك."]
    assert of_kind(card, "tts_chunk")
    assert not of_kind(card, "error")
    assert "unspoken" not in card[-1]
    assert nodes[-1]["unspoken"] == [{"node": "Draft", "chars": 5}]
    assert [len(of_kind(events, "data")) for events in dropped] == [1, MAX_DATA_EVENTS, 0]
    for events in dropped:
        assert [each["code"] for each in of_kind(events, "error")] == ["agent-data-limit"]
        assert of_kind(events, "tts_chunk"), "the words are spoken all the same"


@pytest.mark.parametrize("how", ["text", "reconnect"])
async def test_the_agent_is_told_of_an_interruption_until_it_has_taken_it(how: str) -> None:
    """A request that nobody takes tells nothing, and a lost connection changes nothing."""
    is_down = False

    async def script(exchange: Exchange) -> None:
        if is_down:
            await exchange.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
        else:
            await answer(exchange)

    async with (
        serve(script) as webhook,
        instant_simulator() as simulator,
        running_gateway(settings_for(simulator, agent_webhook_url=webhook.url)) as url,
    ):
        async with calling(f"{url}amal") as caller:
            await caller.send({"type": "text", "text": "أين شحنتي؟"})
            await caller.until("tts_chunk")
            await caller.send({"type": "playback", "turn": 1, "played_ms": 100_000})
            if how == "text":
                await caller.send({"type": "interrupt"})
                await caller.until("interrupted")
        async with calling(f"{url}amal") as caller:
            is_down = True
            await caller.send({"type": "text", "text": "card"})
            await caller.until("done")
            is_down = False
            for _ in range(2):
                await caller.send({"type": "text", "text": "card"})
                await caller.until("done")
    first, refused, told, after = [json.loads(each.body) for each in webhook.exchanges]
    assert "interrupted" not in first
    assert first["channel"] == "text"
    assert refused["interrupted"] and told["interrupted"]
    assert (told["heard"], told["interrupted_text"]) == (
        "هذه جملة أولى طويلة بما يكفي لتقال وحدها.",
        "أين شحنتي؟",
    )
    assert (told["turn"], told["sessionId"]) == (2, "amal")
    assert "interrupted" not in after
