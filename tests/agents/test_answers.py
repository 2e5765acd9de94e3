"""Every row of `answer_cases`, cut at every position, and over real sockets."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agents.base import AgentRequest, NodeText, ResponseObserver
from app.agents.client import make_client
from app.agents.http_stream import HttpAgentStream
from app.agents.parser_options import ParserOptions
from app.agents.response_parser import ResponseParser
from app.agents.webhook import WebhookAgent
from app.errors import AgentError, AgentFailedError, AgentNotReadyError, AgentRefusedError
from tests.agents.answer_cases import ANSWER, ROWS, STREAMED, Row
from tests.agents.asking import ask
from tests.agents.conftest import END, HEAD, Exchange, MakeSource, chunk, serve
from tests.agents.lines import line, run
from tests.agents.n8n_cases import NOT_REGISTERED, STREAM_HEAD, whole


class Told(ResponseObserver):
    """Keeps what a response is told to hold beside its text."""

    def __init__(self) -> None:
        self.data: list[tuple[object, str]] = []
        self.unspoken: dict[str, int] = {}
        self.taken: list[bool] = []

    def on_data(self, data: object, source: str) -> None:
        self.data.append((data, source))

    def on_nodes(self, nodes: Sequence[NodeText]) -> None:
        self.unspoken = {node.node: node.chars for node in nodes if not node.is_spoken}

    def on_accepted(self) -> None:
        self.taken.append(True)

    def on_refused(self) -> None:
        self.taken.append(False)


def check(row: Row, text: str, error: AgentError | None, told: Told) -> None:
    assert text.strip() == row.text
    assert type(error) is (row.failure or type(None)), error
    assert tuple(told.data) == row.data
    assert told.unspoken == row.unspoken


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_body_is_read_alike_wherever_it_is_cut(row: Row) -> None:
    for at in range(len(row.body)):
        told = Told()
        parser = ResponseParser(row.options, told)
        pieces = parser.feed(row.body[:at]) + parser.feed(row.body[at:]) + parser.finish()
        told.on_nodes(parser.node_texts)
        assert all(pieces)
        check(row, "".join(pieces), parser.final_error(), told)


async def play_row(row: Row, cuts: list[int]) -> None:
    """Have an agent answer with the body of a row, in a chunk for each part between cuts."""
    borders = [0, *sorted({cut % len(row.body) for cut in cuts} - {0}), len(row.body)]

    async def script(exchange: Exchange) -> None:
        parts = (row.body[a:b] for a, b in itertools.pairwise(borders))
        await exchange.send(STREAM_HEAD, *map(chunk, parts), END)

    told, received = Told(), list[str]()
    error: AgentError | None = None
    async with serve(script) as webhook, make_client(webhook.url, connect_timeout_s=2) as client:
        http = HttpAgentStream(
            client=client,
            url=webhook.url,
            first_token_timeout_s=5,
            between_tokens_timeout_s=5,
            total_timeout_s=10,
        )
        request = AgentRequest("أين شحنتي؟", "s1", observer=told)
        try:
            await ask(WebhookAgent(http, row.options), request, received)
        except AgentError as raised:
            error = raised
    check(row, "".join(received), error, told)
    assert len(webhook.exchanges) == 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@settings(max_examples=4, deadline=None)
@given(cuts=st.lists(st.integers(1, 4000), max_size=4))
def test_a_body_is_heard_alike_over_a_socket(row: Row, cuts: list[int]) -> None:
    asyncio.run(play_row(row, cuts))


PAGE = b"n8n is starting up. Please wait"
PAGE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
)
NO_ROUTE = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n'
    "</head>\n<body>\n<pre>Cannot POST /webhook/voice</pre>\n</body>\n</html>\n"
)
PAGE_RESPONSE = PAGE_HEAD % len(PAGE) + PAGE


@pytest.mark.parametrize("before", [0, 1])
async def test_a_turn_waits_for_n8n_to_start(make_source: MakeSource, before: int) -> None:
    """The page and the 404 after it are told to nobody, and only one run begins."""
    refusals = [
        PAGE_RESPONSE,
        whole("404 Not Found", NO_ROUTE, "text/html"),
        whole("404 Not Found", NOT_REGISTERED),
    ]

    async def script(exchange: Exchange) -> None:
        number = len(webhook.exchanges) - before
        if 0 < number <= len(refusals):
            await exchange.send(refusals[number - 1])
        else:
            await exchange.send(HEAD, chunk(run(ANSWER)), END)

    async with serve(script) as webhook:
        agent = WebhookAgent(make_source(webhook.url, retry_s=5))
        for _ in range(before):
            await ask(agent)
        told = Told()
        assert await ask(agent, AgentRequest("a", "s1", observer=told)) == ANSWER
    assert told.taken == [False] * 3 + [True]
    assert len(webhook.exchanges) == before + 4
    assert len({exchange.body for exchange in webhook.exchanges[before:]}) == 1


@pytest.mark.parametrize("at", range(0, len(PAGE), 5))
async def test_the_starting_page_is_never_spoken(make_source: MakeSource, at: int) -> None:
    async def script(exchange: Exchange) -> None:
        cut = len(PAGE_RESPONSE) - at
        await exchange.send(PAGE_RESPONSE[:cut])
        await asyncio.sleep(0)
        await exchange.send(PAGE_RESPONSE[cut:])

    received: list[str] = []
    async with serve(script) as webhook:
        agent = WebhookAgent(make_source(webhook.url))
        with pytest.raises(AgentNotReadyError, match="starting up"):
            await ask(agent, received=received)
    assert received == []


@pytest.mark.parametrize("body", ["n8n is a tool.", "n8n", "نعم.", ""])
async def test_html_that_is_an_answer_is_spoken(make_source: MakeSource, body: str) -> None:
    """n8n's Respond node in text mode calls its answers HTML."""
    response = PAGE_HEAD % len(body.encode()) + body.encode()
    received: list[str] = []

    async def script(exchange: Exchange) -> None:
        await exchange.send(response)

    async with serve(script) as webhook:
        agent = WebhookAgent(make_source(webhook.url, retry_s=5))
        if body:
            assert await ask(agent, received=received) == body
        else:
            with pytest.raises(AgentError):
                await ask(agent)
    assert len(webhook.exchanges) == 1


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (whole("404 Not Found", NOT_REGISTERED), AgentRefusedError),  # it has never worked
        (whole("503 Service Unavailable", "{}"), AgentRefusedError),
        (whole("500 Internal Server Error", "{}"), AgentRefusedError),
        (whole("200 OK", '{"message":"Workflow was started"}'), AgentError),
        (STREAM_HEAD + chunk(line("begin") + line("error", "x")) + END, AgentFailedError),
    ],
)
async def test_what_may_have_begun_a_run_is_never_sent_again(
    make_source: MakeSource, response: bytes, failure: type[AgentError]
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(response)

    async with serve(script) as webhook:
        with pytest.raises(failure):
            await ask(WebhookAgent(make_source(webhook.url, retry_s=5)))
    assert len(webhook.exchanges) == 1


async def test_a_turn_waits_no_longer_than_it_may(make_source: MakeSource) -> None:
    async with serve(lambda exchange: exchange.send(PAGE_RESPONSE)) as webhook:
        agent = WebhookAgent(make_source(webhook.url, retry_s=0.15))
        with pytest.raises(AgentNotReadyError):
            await ask(agent)
    assert len(webhook.exchanges) == 3  # at 0, 0.1 and 0.15 s


@pytest.mark.parametrize(("nodes", "level"), [((), "warning"), (("Agent",), "debug")])
async def test_one_line_tells_what_nobody_hears(
    make_source: MakeSource, nodes: tuple[str, ...], level: str
) -> None:
    row = next(row for row in STREAMED if row.name == "filler, two agents")

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(row.body), END)

    with structlog.testing.capture_logs() as logs:
        async with serve(script) as webhook:
            await ask(WebhookAgent(make_source(webhook.url), ParserOptions(nodes=nodes)))
    (entry,) = [entry for entry in logs if entry["event"] == "nodes not spoken"]
    assert entry["log_level"] == level
    assert entry["chars"]["Draft"] == 5


async def test_what_is_held_back_is_bounded() -> None:
    for body in (run('{"output":"' + "a" * 2000), run("x", node="A") + run("b" * 2000)):
        parser = ResponseParser(ParserOptions(max_line_bytes=1500))
        for at in range(0, len(body), 100):
            parser.feed(body[at : at + 100])
        assert "AGENT_MAX_LINE_BYTES" in str(parser.final_error())
