"""`HttpAgentStream`: connections, timeouts, refusals and cancellation, over real sockets."""

import asyncio
import gzip
import socket

import pytest

from app.agents.client import make_client
from app.errors import (
    AgentCutError,
    AgentFailedError,
    AgentRefusedError,
    AgentTimeoutError,
    AgentUnreachableError,
    ConfigurationError,
)
from tests.agents.asking import REQUEST, ask
from tests.agents.conftest import END, HEAD, Exchange, MakeAgent, chunk, serve
from tests.agents.lines import line, run
from tests.steps import longest_step


async def test_a_connection_is_reused(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(run("نعم")), END)

    async with serve(script) as webhook:
        agent = make_agent(webhook.url)
        await ask(agent)
        await ask(agent)
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 2]


async def test_a_body_that_never_ends_after_an_error_is_closed(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + line("error", "timed out")))
        await exchange.gone()

    async with serve(script) as webhook:
        with pytest.raises(AgentFailedError, match="timed out"):
            await ask(make_agent(webhook.url, error_linger_s=0.02))


async def test_progress_after_another_nodes_error_ends_the_linger(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("error", "boom", "Tool") + line("begin")))
        await asyncio.sleep(0.06)  # longer than the linger: that is the point
        await exchange.send(chunk(run("نعم")), END)

    async with serve(script) as webhook:
        assert await ask(make_agent(webhook.url, error_linger_s=0.03)) == "نعم"


@pytest.mark.parametrize(
    ("sent", "limit", "reason"),
    [
        ([], "first_token_timeout_s", "sent no text within"),
        ([HEAD], "first_token_timeout_s", "sent no text within"),
        ([HEAD, chunk(line("begin"))], "first_token_timeout_s", "sent no text within"),
        ([HEAD, chunk(line("item", "نعم"))], "between_tokens_timeout_s", "no further text for"),
        ([HEAD, chunk(line("item", "نعم"))], "total_timeout_s", "did not finish its response"),
    ],
)
async def test_a_timeout_says_which_limit_ran_out(
    make_agent: MakeAgent, sent: list[bytes], limit: str, reason: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(*sent)
        await exchange.gone()

    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match=reason) as caught:
            await ask(make_agent(webhook.url, **{limit: 0.05}))
    assert str(caught.value).endswith(f" 0.05 s (AGENT_{limit.upper()})")


async def test_keepalives_and_empty_items_extend_no_timeout(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("item", "نعم")))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(line("keepalive") + line("item", "")))
            await asyncio.sleep(0.005)

    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match="no further text"):
            await ask(make_agent(webhook.url, between_tokens_timeout_s=0.05))


@pytest.mark.parametrize("text", [" ", "\n", "ـ", "😊", "!", "\u200f", "**"])
async def test_what_cannot_be_spoken_extends_no_timeout(make_agent: MakeAgent, text: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + line("item", "نعم")))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(line("item", text)))
            await asyncio.sleep(0.005)

    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match="no further text"):
            await ask(make_agent(webhook.url, between_tokens_timeout_s=0.1, total_timeout_s=5))


async def test_a_flood_of_empty_lines_leaves_the_loop_to_others(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + b"\n" * 500_000 + run("نعم")), END)

    async with serve(script) as webhook, longest_step() as steps:
        assert await ask(make_agent(webhook.url)) == "نعم"
    assert steps.longest_s < 1
    assert steps.count > 100


async def test_a_slow_reader_causes_no_timeout(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(line("begin") + line("item", "نعم")))
        await exchange.send(chunk(line("item", " لا") + line("end")), END)

    received = ""
    async with serve(script) as webhook:
        agent = make_agent(webhook.url, between_tokens_timeout_s=0.2, total_timeout_s=0.2)
        async with agent.answer(REQUEST) as pieces:
            async for piece in pieces:
                received += piece
                await asyncio.sleep(0.25)  # longer than both limits: that is the point
    assert received == "نعم لا"


@pytest.mark.parametrize(
    "sent", [[], [HEAD], [HEAD, chunk(line("begin"))], [b"HTTP/1.1 500 X\r\n\r\n"]]
)
async def test_cancelling_while_waiting_closes_the_connection(
    make_agent: MakeAgent, sent: list[bytes]
) -> None:
    requested, closed = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(*sent)
        requested.set()
        await exchange.gone()
        closed.set()

    async with serve(script) as webhook:
        asking = asyncio.create_task(ask(make_agent(webhook.url)))
        await requested.wait()
        for _ in range(20):  # let what was sent arrive
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(closed.wait(), 2)


async def test_cancelling_at_every_step_leaks_no_connection(make_agent: MakeAgent) -> None:
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


async def test_connection_refused(make_agent: MakeAgent) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/webhook?secret=geheim"
        with pytest.raises(AgentUnreachableError) as caught:
            await ask(make_agent(url, headers={"X-Token": "t0ken"}))
    assert "geheim" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


async def test_a_refusal_whose_body_never_ends_is_limited(make_agent: MakeAgent) -> None:
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
        (
            404,
            b'{"code":404,"message":"%s","hint":"Activate the\\nworkflow."}' % (b"m" * 300),
            r"HTTP 404: m{200} Activate the workflow\.$",
        ),
        (403, b"Authorization data is wrong!", "Authorization data is wrong!"),
        (422, b'{"message":"Failed to parse request body"}', "Failed to parse"),
        (500, b'{"message":"Error in workflow"}', "Error in workflow"),
        (302, b"", "gave no reason"),
    ],
)
async def test_a_refusal_says_why(
    make_agent: MakeAgent, status: int, body: bytes, reason: str
) -> None:
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
async def test_a_connection_that_is_reset(make_agent: MakeAgent, reset: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(reset)
        exchange.writer.transport.abort()

    async with serve(script) as webhook:
        with pytest.raises(AgentCutError if reset == HEAD else AgentUnreachableError):
            await ask(make_agent(webhook.url))


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oops"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_proxy_that_compresses_unasked(
    make_agent: MakeAgent, encoding: str, status: bytes
) -> None:
    head = HEAD.replace(b"200 OK", status).removesuffix(b"\r\n")

    async def script(exchange: Exchange) -> None:
        await exchange.send(head, f"Content-Encoding: {encoding}\r\n\r\n".encode())
        await exchange.send(chunk(gzip.compress(run("نعم"))), END)

    async with serve(script) as webhook:
        with pytest.raises(AgentFailedError, match=f"Content-Encoding: {encoding}"):
            await ask(make_agent(webhook.url))


async def test_an_encoding_that_changes_nothing_is_accepted(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD.removesuffix(b"\r\n"), b"Content-Encoding: identity\r\n\r\n")
        await exchange.send(chunk(run("نعم")), END)

    async with serve(script) as webhook:
        assert await ask(make_agent(webhook.url)) == "نعم"


async def test_a_flood_of_informational_responses_is_an_error(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await exchange.gone()

    async with serve(script) as webhook:
        with pytest.raises(AgentUnreachableError, match="informational"):
            await ask(make_agent(webhook.url))


async def test_an_invalid_url() -> None:
    with pytest.raises(ConfigurationError):
        make_client("http://n8n.test:port/", connect_timeout_s=1)
