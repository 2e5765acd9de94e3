"""The webhook agent, over real sockets."""

import asyncio
import gzip
import json
import socket

import pytest
import structlog

from app.agents.base import Agent, AgentRequest
from app.agents.client import make_client
from app.errors import (
    AgentCutError,
    AgentEmptyError,
    AgentFailedError,
    AgentRefusedError,
    AgentTimeoutError,
    AgentUnreachableError,
    ConfigurationError,
)
from tests.agents.conftest import END, HEAD, Exchange, MakeAgent, chunk, serve
from tests.agents.lines import data, line, run

REQUEST = AgentRequest("أين شحنتي؟", "s1")


async def ask(agent: Agent, heard: list[str] | None = None) -> str:
    """Return the whole answer; `heard` keeps what came before an error."""
    heard = [] if heard is None else heard
    async with agent.answer(REQUEST) as pieces:
        async for piece in pieces:
            heard.append(piece)
    return "".join(heard)


async def test_an_answer_comes_while_it_is_written(make_agent: MakeAgent) -> None:
    heard = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + line("item", "نعم")))
        await heard.wait()
        await exchange.send(chunk(line("item", " لا") + line("end")), END)

    async with serve(script) as webhook, make_agent(webhook.url).answer(REQUEST) as pieces:
        assert await anext(pieces) == "نعم"
        heard.set()
        assert [piece async for piece in pieces] == [" لا"]


async def test_the_request_is_what_n8n_reads(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم")), END)

    async with serve(script) as webhook:
        assert await ask(make_agent(webhook.url, headers={"X-Token": "t"})) == "نعم"
    (exchange,) = webhook.exchanges
    assert json.loads(exchange.body) == {"text": "أين شحنتي؟", "session_id": "s1"}
    assert exchange.head.startswith(b"POST /webhook/voice?secret=geheim HTTP/1.1\r\n")
    head = exchange.head.lower()
    assert b"accept-encoding: identity\r\n" in head
    assert b"x-token: t\r\n" in head


@pytest.mark.parametrize("heard", ["نعم", ""])
async def test_the_request_tells_of_an_interruption(make_agent: MakeAgent, heard: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم")), END)

    request = AgentRequest("لا", "s1", interrupted=True, played_text=heard)
    async with serve(script) as webhook:
        async with make_agent(webhook.url).answer(request) as pieces:
            assert [piece async for piece in pieces] == ["نعم"]
    assert json.loads(webhook.exchanges[0].body) == {
        "text": "لا",
        "session_id": "s1",
        "interrupted": True,
        "heard": heard,
    }


async def test_events_stream_and_their_end_is_not_waited_for_long(make_agent: MakeAgent) -> None:
    heard = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(data("نعم")))
        await heard.wait()
        await exchange.send(chunk(data("لا", "[DONE]")))
        await exchange.gone()  # a body that never ends

    async with serve(script) as webhook, make_agent(webhook.url).answer(REQUEST) as pieces:
        assert await anext(pieces) == "نعم"
        heard.set()
        assert [piece async for piece in pieces] == ["لا"]


async def test_the_connection_is_used_again(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم")), END)

    async with serve(script) as webhook:
        agent = make_agent(webhook.url)
        await ask(agent)
        await ask(agent)
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 2]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (chunk(line("begin") + line("item", "نعم")) + END, AgentCutError),
        (chunk(run("نعم")), AgentCutError),  # the connection breaks inside the body
        (chunk(line("begin")) + END, AgentEmptyError),
        (END, AgentEmptyError),
        (chunk(line("begin") + line("error", "401")) + END, AgentFailedError),
        (chunk(run("نعم") + b"garbage\n") + END, AgentFailedError),
    ],
)
async def test_an_answer_that_is_not_whole(
    make_agent: MakeAgent, body: bytes, fault: type[Exception]
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, body)
        exchange.writer.close()

    heard: list[str] = []
    async with serve(script) as webhook:
        with pytest.raises(fault):
            await ask(make_agent(webhook.url), heard)
    assert heard == (["نعم"] if "نعم".encode() in body else [])


async def test_a_body_that_never_ends_after_an_error_is_closed(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + line("error", "timed out")))
        await exchange.gone()

    async with serve(script) as webhook:
        with pytest.raises(AgentFailedError, match="timed out"):
            await ask(make_agent(webhook.url, error_linger_s=0.02))


async def test_another_nodes_error_after_the_answer_is_only_logged(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم") + line("error", "boom", "Log")))
        await exchange.gone()

    with structlog.testing.capture_logs() as logs:
        async with serve(script) as webhook:
            assert await ask(make_agent(webhook.url, error_linger_s=0.02)) == "نعم"
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("agent_error_after_answer", "boom")
    ]


async def test_work_after_another_nodes_error_ends_the_linger(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("error", "boom", "Tool") + line("begin")))
        await asyncio.sleep(0.06)  # longer than the linger: that is the point
        await exchange.send(chunk(run("نعم")), END)

    async with serve(script) as webhook:
        assert await ask(make_agent(webhook.url, error_linger_s=0.03)) == "نعم"


@pytest.mark.parametrize(
    ("parts", "limit", "complaint"),
    [
        ([], "first_token_timeout_s", "no word"),
        ([HEAD], "first_token_timeout_s", "no word"),
        ([HEAD, chunk(line("begin"))], "first_token_timeout_s", "no word"),
        ([HEAD, chunk(line("item", "نعم"))], "between_tokens_timeout_s", "silent"),
        ([HEAD, chunk(line("item", "نعم"))], "total_timeout_s", "still writing"),
    ],
)
async def test_silence(
    make_agent: MakeAgent, parts: list[bytes], limit: str, complaint: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(*parts)
        await exchange.gone()

    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match=complaint):
            await ask(make_agent(webhook.url, **{limit: 0.05}))


async def test_keepalives_and_empty_items_buy_no_time(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("item", "نعم")))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(line("keepalive") + line("item", "")))
            await asyncio.sleep(0.005)

    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match="silent"):
            await ask(make_agent(webhook.url, between_tokens_timeout_s=0.05))


async def test_a_slow_listener_does_not_make_the_answer_late(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + line("item", "نعم")))
        await exchange.send(chunk(line("item", " لا") + line("end")), END)

    heard = ""
    async with serve(script) as webhook:
        agent = make_agent(webhook.url, between_tokens_timeout_s=0.2, total_timeout_s=0.2)
        async with agent.answer(REQUEST) as pieces:
            async for piece in pieces:
                heard += piece
                await asyncio.sleep(0.25)  # longer than both limits: that is the point
    assert heard == "نعم لا"


@pytest.mark.parametrize(
    "parts", [[], [HEAD], [HEAD, chunk(line("begin"))], [b"HTTP/1.1 500 X\r\n\r\n"]]
)
async def test_barge_in_while_waiting_closes_the_connection(
    make_agent: MakeAgent, parts: list[bytes]
) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(*parts)
        asked.set()
        await exchange.gone()
        closed.set()

    async with serve(script) as webhook:
        asking = asyncio.create_task(ask(make_agent(webhook.url)))
        await asked.wait()
        for _ in range(20):  # let what was sent arrive
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(closed.wait(), 2)


async def test_cancelling_at_every_step_leaks_nothing(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD)
        for _ in range(5):
            await exchange.send(chunk(line("item", "نعم")))
            await asyncio.sleep(0)
        await exchange.gone()

    async with serve(script) as webhook:
        for steps in range(40):
            asking = asyncio.create_task(ask(make_agent(webhook.url)))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
    assert webhook.exchanges  # that no request is left in the pool, the fixture checks


async def test_leaving_between_two_pieces_closes_the_connection(make_agent: MakeAgent) -> None:
    closed = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("item", "نعم") + line("item", "لا")))
        await exchange.gone()
        closed.set()

    async with serve(script) as webhook:
        async with make_agent(webhook.url).answer(REQUEST) as pieces:
            assert await anext(pieces) == "نعم"
        await asyncio.wait_for(closed.wait(), 2)


async def test_a_stale_connection_is_replaced_once(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.nth_on_connection == 2:
            exchange.writer.close()  # as it would be had the idle limit struck just now
        else:
            await exchange.send(HEAD, chunk(run("نعم")), END)

    async with serve(script) as webhook:
        agent = make_agent(webhook.url)
        assert await ask(agent) == "نعم"
        assert await ask(agent) == "نعم"
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 2, 1]


async def test_a_fresh_connection_that_closes_is_not_tried_again(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.writer.close()

    async with serve(script) as webhook:
        with pytest.raises(AgentUnreachableError):
            await ask(make_agent(webhook.url))
    assert len(webhook.exchanges) == 1


async def test_nobody_listens(make_agent: MakeAgent) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/webhook?secret=geheim"
        with pytest.raises(AgentUnreachableError) as caught:
            await ask(make_agent(url, headers={"X-Token": "t0ken"}))
    assert "geheim" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


async def test_a_refusal_whose_body_never_ends_is_bounded(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD.replace(b"200 OK", b"502 Bad Gateway"))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(b"x" * 1000))

    async with serve(script) as webhook:
        with pytest.raises(AgentRefusedError, match=r"HTTP 502: x{200}$"):
            await ask(make_agent(webhook.url))


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            404,
            b'{"code":404,"message":"The requested webhook is not registered."}',
            "not registered",
        ),
        (403, b"Authorization data is wrong!", "Authorization data is wrong!"),
        (422, b'{"message":"Failed to parse request body"}', "Failed to parse"),
        (500, b'{"message":"Error in workflow"}', "Error in workflow"),
        (302, b"", "no reason given"),
    ],
)
async def test_refusals(make_agent: MakeAgent, status: int, body: bytes, reason: str) -> None:
    async def script(exchange: Exchange) -> None:
        head = (
            f"HTTP/1.1 {status} No\r\nLocation: /elsewhere\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await exchange.send(head.encode(), body)

    async with serve(script) as webhook:
        with pytest.raises(AgentRefusedError, match=reason) as caught:
            await ask(make_agent(webhook.url))
    assert caught.value.status == status
    assert len(webhook.exchanges) == 1


@pytest.mark.parametrize("reset", [b"", HEAD[:20], HEAD, b"rubbish\r\n\r\n"])
async def test_a_connection_reset_at_any_time(make_agent: MakeAgent, reset: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(reset)
        exchange.writer.transport.abort()

    async with serve(script) as webhook:
        with pytest.raises(AgentCutError if reset == HEAD else AgentUnreachableError):
            await ask(make_agent(webhook.url))


async def test_a_proxy_that_compresses_unasked(make_agent: MakeAgent) -> None:
    body = gzip.compress(run("نعم"))

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))
        await exchange.send(chunk(body), END)

    async with serve(script) as webhook:
        assert await ask(make_agent(webhook.url)) == "نعم"


async def test_a_url_that_is_none() -> None:
    with pytest.raises(ConfigurationError):
        make_client("http://n8n.test:port/", connect_timeout_s=1)
