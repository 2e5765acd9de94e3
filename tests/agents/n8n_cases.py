"""What n8n 2.41 was seen to send, case by case, and how each response must end."""

from dataclasses import dataclass
from typing import Literal

from app.errors import (
    AgentCutError,
    AgentEmptyError,
    AgentError,
    AgentFailedError,
    AgentRefusedError,
    AgentUnreachableError,
)
from tests.agents.conftest import chunk
from tests.agents.lines import line, run

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\nCache-Control: no-cache\r\nConnection: keep-alive\r\n"
    b"Vary: Accept-Encoding\r\n\r\n"
)


def whole(status: str, body: str, kind: str = "application/json; charset=utf-8") -> bytes:
    """Return a response that is not streamed."""
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def streamed(*lines: bytes) -> tuple[bytes, ...]:
    """Return headers, then a chunk for each line, as n8n mostly sends them."""
    return STREAM_HEAD, *(
        chunk(each) for several in lines for each in several.splitlines(keepends=True)
    )


Ending = Literal["clean", "breaks", "never"]
"""The body ends as it should, the connection is lost within it, or nothing follows."""


@dataclass(frozen=True)
class Case:
    """What is on the wire, its text, and the error that follows, with its reason."""

    name: str
    wire: tuple[bytes, ...]
    text: str = ""
    failure: type[AgentError] | None = None
    reason: str | None = None
    ends: Ending = "clean"


BEGIN, ITEM = line("begin"), line("item", "نعم")
PREAMBLE = run("لحظة من فضلك.")  # a run of its own, before the agent calls a tool
REPEATED = line("item", '{"output":"نعم."}', "Respond to Webhook")
NOT_REGISTERED = (
    '{"code":404,"message":"The requested webhook \\"POST x\\" is not registered.","hint":"…"}'
)

TABLE = [
    # model responds 500 / 401: begin, error, end of body
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
    # node after the agent fails: the full response, then another node's error
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
    Case("n8n is killed", streamed(BEGIN, ITEM), "نعم", AgentCutError, "connection lost", "breaks"),
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
    Case("second agent", streamed(run("نعم."), run("لا", node="B")), "نعم.\nلا"),
    Case(
        "agent as a tool",
        streamed(run("لحظة."), run("شحنة", node="B"), run("نعم.")),
        "لحظة.\nنعم.",
    ),
    Case("empty items first", streamed(run("", node="A"), run("نعم.", node="B")), "نعم."),
    Case("respond repeats it", streamed(run("نعم."), REPEATED), "نعم."),
    Case("respond says more", streamed(run("لا."), REPEATED), "لا.\nنعم."),
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
        AgentUnreachableError,
        "only started",
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
        "wrong Content-Type",
        (whole("200 OK", run("نعم").decode(), "text/html"),),
        "نعم",
    ),
]
