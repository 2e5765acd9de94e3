"""Every case of `n8n_cases` over real sockets, and how connections to n8n are used."""

import asyncio
import json
import time

import pytest
import structlog

from app.agents.base import AgentRequest
from app.errors import AgentError, AgentFailedError, AgentTimeoutError
from tests.agents.asking import ask
from tests.agents.conftest import END, Exchange, MakeAgent, MakeClient, chunk, serve
from tests.agents.lines import line, run
from tests.agents.n8n_cases import (
    BEGIN,
    ITEM,
    PROSE,
    STREAM_HEAD,
    TABLE,
    Case,
    streamed,
    whole,
)
from tests.agents.parsing import CAPTURED, CAPTURES
from tests.net.clients import connector_of


async def play(case: Case, exchange: Exchange) -> None:
    for data in case.wire:
        await exchange.send(data)
    if case.ends == "never":
        await exchange.gone()
    elif case.ends == "breaks":
        exchange.writer.close()
    elif b"chunked" in case.wire[0]:
        await exchange.send(END)


async def check(case: Case, make_agent: MakeAgent) -> None:
    """Compare text and error; the agent may be asked only once."""
    received: list[str] = []
    async with serve(lambda exchange: play(case, exchange)) as webhook:
        agent = make_agent(webhook.url, error_linger_s=0.02)
        if case.failure is None:
            await ask(agent, received=received)
        else:
            with pytest.raises(case.failure, match=case.reason):
                await ask(agent, received=received)
    assert "".join(received) == case.text
    assert len(webhook.exchanges) == 1, "a run that may have begun is not begun again"


@pytest.mark.parametrize("case", [*TABLE, *PROSE], ids=lambda case: case.name)
async def test_a_response_ends_as_it_should(case: Case, make_agent: MakeAgent) -> None:
    await check(case, make_agent)


@pytest.mark.parametrize(
    ("capture", "text", "failure"),
    [(capture, text, failure) for capture, node, text, failure in CAPTURED if node is None],
)
async def test_a_captured_response_ends_as_it_should(
    capture: str, text: str, failure: type[AgentError] | None, make_agent: MakeAgent
) -> None:
    body = (CAPTURES / f"{capture}.ndjson").read_bytes()
    lines = body.split(b"\n")  # as n8n cuts them: U+2028 does not end a line
    wire = streamed() + tuple(chunk(each + b"\n") for each in lines[:-1])
    if len(lines) == 1:
        wire = (whole("200 OK", body.decode()),)
    await check(Case(capture, wire, text, failure), make_agent)


async def test_after_an_error_the_end_is_awaited_for_about_a_second(make_agent: MakeAgent) -> None:
    case = next(case for case in TABLE if case.name == "execution timeout")
    async with serve(lambda exchange: play(case, exchange)) as webhook:
        began_at = time.monotonic()
        with pytest.raises(AgentFailedError):
            await ask(make_agent(webhook.url))
        assert time.monotonic() - began_at >= 0.95


async def test_another_nodes_error_after_the_response_is_only_logged(make_agent: MakeAgent) -> None:
    case = next(case for case in TABLE if case.name == "later node fails")
    with structlog.testing.capture_logs() as logs:
        async with serve(lambda exchange: play(case, exchange)) as webhook:
            await ask(make_agent(webhook.url))
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("agent_error_after_response", "boom")
    ]


async def test_a_run_that_goes_on_after_an_interruption_is_not_received(
    make_agent: MakeAgent,
) -> None:
    """When the client goes away, n8n runs to the end, and two runs of one session overlap."""
    second_ended = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) > 1:
            await exchange.send(STREAM_HEAD, chunk(run("الجواب الثاني.")), END)
            return
        await exchange.send(STREAM_HEAD, chunk(BEGIN + ITEM))
        await second_ended.wait()  # runs on, as if the client were there
        exchange.writer.write(chunk(line("item", " لا") + line("end")) + END)

    async with serve(script) as webhook:
        agent = make_agent(webhook.url)
        async with agent.answer(AgentRequest("a", "s1")) as pieces:
            assert await anext(pieces) == "نعم"
        request = AgentRequest("b", "s1", interrupted=True, played_text="نعم")
        received = await ask(agent, request)
        second_ended.set()
    assert received == "الجواب الثاني."
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 1]
    assert json.loads(webhook.exchanges[1].body)["heard"] == "نعم"


async def test_the_total_time_is_limited_even_if_text_keeps_coming(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, chunk(BEGIN))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(ITEM))
            await asyncio.sleep(0.005)

    received: list[str] = []
    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match="did not finish"):
            await ask(make_agent(webhook.url, total_timeout_s=0.1), received=received)
    assert "نعم" in received


async def test_an_idle_connection_is_closed_before_n8n_drops_it(connect: MakeClient) -> None:
    connector = connector_of(connect("http://n8n.test/"))
    assert connector is not None
    assert connector._keepalive_timeout is not None
    assert connector._keepalive_timeout < 5
