"""What n8n 2.41 was seen to send, case by case, over real sockets, and how each answer must end."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Literal

import pytest
import structlog

from app.agents.base import AgentRequest
from app.errors import (
    AgentCutError,
    AgentEmptyError,
    AgentError,
    AgentFailedError,
    AgentRefusedError,
    AgentTimeoutError,
)
from tests.agents.conftest import END, Exchange, MakeAgent, MakeClient, chunk, serve
from tests.agents.lines import line, run
from tests.agents.test_response_parser import CAPTURES, GREETING
from tests.agents.test_webhook import ask
from tests.net.clients import connector_of

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nCache-Control: no-cache\r\nConnection: keep-alive\r\n"
    b"Vary: Accept-Encoding\r\n\r\n"
)


def whole(status: str, body: str, kind: str = "application/json; charset=utf-8") -> bytes:
    """An answer that is not streamed."""
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def streamed(*lines: bytes) -> tuple[bytes, ...]:
    """Status and headers at once, then a chunk for each line, as n8n mostly writes it."""
    return STREAM_HEAD, *(chunk(each) for part in lines for each in part.splitlines(keepends=True))


Ending = Literal["clean", "breaks", "never"]
"""The body ends as it should, the connection is gone within it, or nothing follows."""


@dataclass(frozen=True)
class Case:
    """What is on the wire, what of it is said, and the error that follows, with its reason."""

    name: str
    wire: tuple[bytes, ...]
    says: str = ""
    fault: type[AgentError] | None = None
    reason: str | None = None
    ends: Ending = "clean"


BEGIN, ITEM = line("begin"), line("item", "نعم")
PREAMBLE = run("لحظة من فضلك.")  # a run of its own, before the agent calls a tool
REPEATED = line("item", '{"output":"نعم."}', "Respond to Webhook")
NOT_REGISTERED = (
    '{"code":404,"message":"The requested webhook \\"POST x\\" is not registered.","hint":"…"}'
)

TABLE = [
    # model answers 500 / 401: begin, error, end of body
    Case("500", streamed(BEGIN, line("error", "boom")), "", AgentFailedError, "boom"),
    Case("401", streamed(BEGIN, line("error")), "", AgentFailedError, "no reason"),
    Case(
        "500 after a tool",
        streamed(PREAMBLE, BEGIN, line("error", "boom")),
        "لحظة من فضلك.",
        AgentFailedError,
        "boom",
    ),
    # model connection drops half-way: items, error, no end
    Case(
        "model drops",
        streamed(BEGIN, ITEM, line("error", "terminated")),
        "نعم",
        AgentFailedError,
        "terminated",
    ),
    # node after the agent fails: the full answer, then another node's error
    Case("later node fails", streamed(run("نعم."), line("error", "boom", "Log")), "نعم."),
    Case(
        "later node fails and nothing ends",
        streamed(run("نعم."), line("error", "boom", "Log")),
        "نعم.",
        ends="never",
    ),
    Case(
        "second agent fails",
        streamed(run("نعم."), line("begin", node="B"), line("error", "boom", "B")),
        "نعم.",
    ),
    # agent set to continue on error: begin, end of body; no error line
    Case("continues on error", streamed(BEGIN), "", AgentEmptyError),
    Case(
        "continues on error after a tool",
        streamed(PREAMBLE, BEGIN),
        "لحظة من فضلك.",
        AgentCutError,
    ),
    # no agent, or agent not streaming: 200, empty body
    Case("no agent", streamed(), "", AgentEmptyError),
    Case("no agent, whole", (whole("200 OK", ""),), "", AgentEmptyError),
    # execution timeout: error, then the body never ends
    Case(
        "execution timeout",
        streamed(BEGIN, ITEM, line("error", "timed out")),
        "نعم",
        AgentFailedError,
        "timed out",
        "never",
    ),
    # n8n stops: items, then a clean end of body without `end`
    Case("n8n stops", streamed(BEGIN, ITEM), "نعم", AgentCutError),
    Case("n8n is killed", streamed(BEGIN, ITEM), "نعم", AgentCutError, "broke off", "breaks"),
    Case("n8n stops after a tool", streamed(PREAMBLE, BEGIN), "لحظة من فضلك.", AgentCutError),
    # path unknown, workflow inactive, wrong method: 404 JSON
    Case(
        "not registered",
        (whole("404 Not Found", NOT_REGISTERED),),
        "",
        AgentRefusedError,
        "HTTP 404: The requested webhook",
    ),
    # bad JSON: 422 JSON
    Case(
        "bad JSON",
        (whole("422 Unprocessable Entity", '{"code":422,"message":"Failed to parse"}'),),
        "",
        AgentRefusedError,
        "HTTP 422: Failed to parse",
    ),
]

PROSE = [
    Case("end is of a run", streamed(PREAMBLE, run("نعم.")), "لحظة من فضلك.\nنعم."),
    Case("nested agent", streamed(run("نعم."), run("لا", node="B")), "نعم."),
    Case("empty items first", streamed(run("", node="A"), run("نعم.", node="B")), "نعم."),
    Case("respond repeats it", streamed(run("لا."), REPEATED), "لا."),
    Case("respond alone", streamed(BEGIN, line("end"), REPEATED), "نعم."),
    Case("several items", streamed(run("نعم."), run("لا.", item=1)), "نعم.\nلا."),
    Case("a line separator in the text", streamed(run("نعم\u2028لا")), "نعم\u2028لا"),
    Case("several lines a chunk", (STREAM_HEAD, chunk(run("نعم", " لا"))), "نعم لا"),
    Case(
        "lines cut anywhere",
        (STREAM_HEAD, *(chunk(run("نعم")[at : at + 5]) for at in range(0, len(run("نعم")), 5))),
        "نعم",
    ),
    Case("last node", (whole("200 OK", '{"output":"نعم"}'),), "نعم"),
    Case(
        "last node fails",
        (whole("500 Internal Server Error", '{"message":"Error in workflow"}'),),
        "",
        AgentRefusedError,
        "HTTP 500: Error in workflow",
    ),
    Case(
        "immediately",
        (whole("200 OK", '{"message":"Workflow was started"}'),),
        "",
        AgentEmptyError,
    ),
    Case(
        "wrong token",
        (whole("403 Forbidden", "Authorization data is wrong!", "text/plain"),),
        "",
        AgentRefusedError,
        "HTTP 403: Authorization data is wrong!",
    ),
    Case("plain text", (whole("200 OK", "نعم. لا.", "text/plain"),), "نعم. لا."),
    Case("event stream", streamed(b'data: {"output":"a"}\n', b"\n", b"data: [DONE]\n", b"\n"), "a"),
    Case(
        "not told by the type",
        (whole("200 OK", run("نعم").decode(), "text/html"),),
        "نعم",
    ),
]


async def play(case: Case, exchange: Exchange) -> None:
    for part in case.wire:
        await exchange.send(part)
    if case.ends == "never":
        await exchange.gone()
    elif case.ends == "breaks":
        exchange.writer.close()
    elif b"chunked" in case.wire[0]:
        await exchange.send(END)


@pytest.mark.parametrize("case", [*TABLE, *PROSE], ids=lambda case: case.name)
async def test_it_ends_as_it_should(case: Case, make_agent: MakeAgent) -> None:
    heard: list[str] = []
    async with serve(lambda exchange: play(case, exchange)) as webhook:
        agent = make_agent(webhook.url, error_linger_s=0.02)
        if case.fault is None:
            await ask(agent, heard)
        else:
            with pytest.raises(case.fault, match=case.reason):
                await ask(agent, heard)
    assert "".join(heard) == case.says
    assert len(webhook.exchanges) == 1, "a run that may have begun is not begun again"


@pytest.mark.parametrize(
    ("capture", "text", "fault"),
    [
        ("voice-stream", GREETING, None),
        ("demo-shape", GREETING, None),
        ("voice-json", GREETING, None),
        ("two-agents", GREETING, None),
        ("tools-calculator", "لحظة من فضلك، سأتحقق. " + GREETING, None),
        ("newlines", 'سطر أول.\nسطر ثانٍ مع "اقتباس" و\\شرطة.\n\n- بند 😀\u2028نهاية.\r\nتم.', None),
        ("fail500", "", AgentFailedError),
        ("keepalive-30s", "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت ", AgentFailedError),
    ],
)
async def test_the_captures_end_as_they_should(
    capture: str, text: str, fault: type[AgentError] | None, make_agent: MakeAgent
) -> None:
    body = (CAPTURES / f"{capture}.ndjson").read_bytes()
    lines = body.split(b"\n")  # as n8n cuts them: U+2028 is no line's end
    wire = streamed() + tuple(chunk(each + b"\n") for each in lines[:-1])
    case = Case(capture, (whole("200 OK", body.decode()),) if len(lines) == 1 else wire)
    heard: list[str] = []
    async with serve(lambda exchange: play(case, exchange)) as webhook:
        if fault is None:
            await ask(make_agent(webhook.url), heard)
        else:
            with pytest.raises(fault):
                await ask(make_agent(webhook.url), heard)
    assert "".join(heard) == text


def test_all_captures_are_played() -> None:
    table = test_the_captures_end_as_they_should.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {row[0] for row in table} == {path.stem for path in CAPTURES.glob("*.ndjson")}


async def test_after_an_error_the_end_is_awaited_for_about_a_second(make_agent: MakeAgent) -> None:
    case = next(case for case in TABLE if case.name == "execution timeout")
    async with serve(lambda exchange: play(case, exchange)) as webhook:
        began_at = time.monotonic()
        with pytest.raises(AgentFailedError):
            await ask(make_agent(webhook.url), [])
        assert time.monotonic() - began_at >= 0.95


async def test_another_nodes_error_is_for_the_log(make_agent: MakeAgent) -> None:
    case = next(case for case in TABLE if case.name == "later node fails")
    with structlog.testing.capture_logs() as logs:
        async with serve(lambda exchange: play(case, exchange)) as webhook:
            await ask(make_agent(webhook.url), [])
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("agent_error_after_answer", "boom")
    ]


async def test_a_run_that_goes_on_after_a_barge_in_is_not_heard(make_agent: MakeAgent) -> None:
    """The client goes away: n8n runs on to the end, and two runs of one session overlap."""
    heard: list[str] = []
    second_ended = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if len(webhook.exchanges) > 1:
            await exchange.send(STREAM_HEAD, chunk(run("الجواب الثاني.")), END)
            return
        await exchange.send(STREAM_HEAD, chunk(BEGIN + ITEM))
        await second_ended.wait()  # runs on, as if nobody had gone
        exchange.writer.write(chunk(line("item", " لا") + line("end")) + END)

    async with serve(script) as webhook:
        agent = make_agent(webhook.url)
        async with agent.answer(AgentRequest("a", "s1")) as pieces:
            assert await anext(pieces) == "نعم"
        request = AgentRequest("b", "s1", interrupted=True, played_text="نعم")
        async with agent.answer(request) as pieces:
            heard = [piece async for piece in pieces]
        second_ended.set()
    assert heard == ["الجواب الثاني."]
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 1]
    assert json.loads(webhook.exchanges[1].body)["heard"] == "نعم"


async def test_the_total_time_is_bounded_though_words_keep_coming(make_agent: MakeAgent) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, chunk(BEGIN))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(ITEM))
            await asyncio.sleep(0.005)

    heard: list[str] = []
    async with serve(script) as webhook:
        with pytest.raises(AgentTimeoutError, match="still writing"):
            await ask(make_agent(webhook.url, total_timeout_s=0.1), heard)
    assert "نعم" in heard


async def test_a_connection_is_let_go_before_n8n_drops_it(connect: MakeClient) -> None:
    connector = connector_of(connect("http://n8n.test/"))
    assert connector is not None
    assert connector._keepalive_timeout is not None
    assert connector._keepalive_timeout < 5
