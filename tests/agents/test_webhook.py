"""`WebhookAgent`: what it sends, and what it reads of the response."""

import asyncio
import json

import pytest

from app import __version__
from app.agents.base import AgentRequest
from app.agents.chat_history import ChatHistoryStore
from app.agents.webhook import WebhookAgent
from app.errors import (
    AgentCutError,
    AgentEmptyError,
    AgentError,
    AgentFailedError,
)
from tests.agents.asking import REQUEST, ask
from tests.agents.conftest import END, HEAD, Exchange, MakeAgent, MakeSource, chunk, serve
from tests.agents.lines import data, line, run

SENT = {
    "text": "أين شحنتي؟",
    "session_id": "s1",
    "chatInput": "أين شحنتي؟",
    "sessionId": "s1",
    "turn": 1,
    "language": "ar",
    "channel": "voice",
}


async def test_a_response_is_passed_on_while_it_is_written(make_agent: MakeAgent) -> None:
    received = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + line("item", "نعم")))
        await received.wait()
        await exchange.send(chunk(line("item", " لا") + line("end")), END)

    async with serve(script) as webhook, make_agent(webhook.url).answer(REQUEST) as pieces:
        assert await anext(pieces) == "نعم"
        received.set()
        assert [piece async for piece in pieces] == [" لا"]


async def test_the_request_is_what_n8n_reads(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم")), END)

    async with serve(script) as webhook:
        assert await ask(make_agent(webhook.url, headers={"X-Token": "t"})) == "نعم"
    (exchange,) = webhook.exchanges
    assert json.loads(exchange.body) == SENT
    assert exchange.head.startswith(b"POST /webhook/voice?secret=geheim HTTP/1.1\r\n")
    head = exchange.head.lower()
    assert b"accept-encoding: identity\r\n" in head
    assert b"x-token: t\r\n" in head
    assert f"user-agent: nabra/{__version__}\r\n".encode() in head


@pytest.mark.parametrize("played_text", ["نعم", ""])
async def test_the_request_reports_an_interruption(make_agent: MakeAgent, played_text: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم")), END)

    request = AgentRequest(
        "لا",
        "s1",
        interrupted=True,
        played_text=played_text,
        interrupted_text="أين شحنتي؟",
        turn=2,
        language="en",
        is_typed=True,
    )
    async with serve(script) as webhook:
        assert await ask(make_agent(webhook.url), request) == "نعم"
    assert json.loads(webhook.exchanges[0].body) == {
        **SENT,
        "text": "لا",
        "chatInput": "لا",
        "turn": 2,
        "language": "en",
        "channel": "text",
        "interrupted": True,
        "heard": played_text,
        "interrupted_text": "أين شحنتي؟",
    }


async def test_the_history_goes_along_where_the_operator_wants_it(make_source: MakeSource) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم.", " لا.")), END)

    async with serve(script) as webhook:
        histories = ChatHistoryStore(turns=5, sessions=5)
        agent = WebhookAgent(make_source(webhook.url), histories=histories)
        await ask(agent, AgentRequest("أ", "s1"))
        await ask(agent, AgentRequest("ب", "s2"))
        cut = AgentRequest("ج", "s1", interrupted=True, played_text="نعم.", interrupted_text="أ")
        await ask(agent, cut)
    histories_sent = [json.loads(each.body)["history"] for each in webhook.exchanges]
    assert histories_sent[:2] == [[], []]
    assert histories_sent[2] == [
        {"role": "user", "content": "أ"},
        {"role": "assistant", "content": "نعم."},
    ]


async def test_after_the_last_event_the_end_of_the_body_is_not_awaited_for_long(
    make_agent: MakeAgent,
) -> None:
    received = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data("نعم")))
        await received.wait()
        await exchange.send(chunk(data("لا", "[DONE]")))
        await exchange.gone()  # a body that never ends

    async with serve(script) as webhook, make_agent(webhook.url).answer(REQUEST) as pieces:
        assert await anext(pieces) == "نعم"
        received.set()
        assert [piece async for piece in pieces] == ["لا"]


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (chunk(line("begin") + line("item", "نعم")) + END, AgentCutError),
        (chunk(run("نعم")), AgentCutError),  # the connection breaks inside the body
        (chunk(line("begin")) + END, AgentEmptyError),
        (END, AgentEmptyError),
        (chunk(line("begin") + line("error", "401")) + END, AgentFailedError),
        (chunk(run("نعم") + b"garbage\n") + END, AgentFailedError),
    ],
)
async def test_an_incomplete_response(
    make_agent: MakeAgent, body: bytes, failure: type[AgentError]
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, body)
        exchange.writer.close()

    received: list[str] = []
    async with serve(script) as webhook:
        with pytest.raises(failure):
            await ask(make_agent(webhook.url), received=received)
    assert received == (["نعم"] if "نعم".encode() in body else [])
