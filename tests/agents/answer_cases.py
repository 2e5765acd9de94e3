"""Bodies of n8n 2.41 and of other agents that a parser could speak as they stand, or not at all."""

import json
from dataclasses import dataclass, field

from app.agents.parser_options import ParserOptions
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentUnreachableError
from tests.agents.lines import data, delta, line, run

ANSWER = "شحنتك في الطريق، وتصل غداً."
FILLER = "لحظة من فضلك."
PARSED = json.dumps({"output": {"answer": ANSWER, "mood": "happy"}}, ensure_ascii=False)
THOUGHTS = "<think>The user asks <where> it is. 1 < 2.</think>"


def pieces(text: str, size: int = 11) -> list[str]:
    """A text in the small pieces that a model writes."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def document(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Row:
    """A body, the text that is heard, and what is told beside it."""

    name: str
    body: bytes
    text: str = ANSWER
    failure: type[AgentError] | None = None
    options: ParserOptions = field(default_factory=ParserOptions)
    data: tuple[tuple[object, str], ...] = ()
    unspoken: dict[str, int] = field(default_factory=dict)


CHAT = {"role": "assistant", "content": ANSWER}
PARTS = [{"type": "output_text", "annotations": [], "text": ANSWER}]
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": PARTS}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
CARD = {"order": 7, "items": ["قهوة"]}
AGENT = ParserOptions(nodes=("Agent",))

WHOLE = [
    Row(
        "message a model 1.8",
        document({"index": 0, "message": CHAT, "logprobs": None, "finish_reason": "stop"}),
    ),
    Row("message a model 2", document({"output": [MESSAGE]})),
    Row("message a model 2, all items", document([{"output": [REASONING, MESSAGE]}])),
    Row("output parser", PARSED.encode()),
    Row("JSON in a text", document({"output": PARSED})),
    Row("reply", document({"reply": ANSWER})),
    Row("result", document({"result": {"content": [ANSWER]}})),
    Row("message", document({"message": ANSWER})),
    Row("content", document([{"content": [{"type": "text", "text": ANSWER}]}])),
    Row("one JSON string", json.dumps(ANSWER).encode() + b"\n"),
    Row("a quotation", f'"{ANSWER}" قال لي.'.encode(), f'"{ANSWER}" قال لي.'),
    Row("thinking in text", f"{THOUGHTS}\n{ANSWER}".encode()),
    Row("thinking in JSON", document({"output": THOUGHTS + ANSWER})),
    Row("a path", document({"a/b": [{"t": ANSWER}]}), options=ParserOptions(
        answer_path=("a/b", "0", "t"))),
    Row("a path that leads nowhere", document({"output": ANSWER}), options=ParserOptions(
        answer_path=("x", "0"))),
    Row("immediately", document({"message": "Workflow was started"}), "", AgentUnreachableError),
    Row("no text", document({"mood": "happy"}), "", AgentEmptyError),
    Row("data among items", document([{"type": "data", "data": CARD}, {"output": ANSWER}]),
        data=((CARD, ""),)),
]  # fmt: skip

STREAMED = [
    Row("output parser", run(*pieces(PARSED))),
    Row("output parser in a fence", run(*pieces(f"```json\n{PARSED}\n```"))),
    Row("output parser as chunks", data(*map(delta, pieces(PARSED)), delta(finish="stop"))),
    Row("output parser, and the Respond node",
        run(*pieces(PARSED)) + run(PARSED, node="Respond to Webhook")),
    Row("JSON that is cut", line("begin") + line("item", PARSED[:20]), "", AgentCutError),
    Row("JSON that holds no text", run('{"mood":', '"happy"}'), "", AgentEmptyError),
    Row("a brace that is prose", run("{", "اسم", "} ", ANSWER), "{اسم} " + ANSWER),
    Row("classifier", run("billing", node="Classifier") + run(*pieces(ANSWER)),
        f"billing\n{ANSWER}"),
    Row("classifier of JSON", run('{"category":"billing"}', node="Classifier")
        + run(*pieces(ANSWER))),
    Row("filler", run(FILLER, node="Filler") + run(*pieces(ANSWER)), f"{FILLER}\n{ANSWER}"),
    Row("filler, two agents", run(FILLER, node="Filler") + run("مسودة", node="Draft")
        + run(*pieces(ANSWER)), f"{FILLER}\n{ANSWER}", unspoken={"Draft": 5}),
    Row("the second agent fails", run(FILLER, node="Filler") + line("begin") + line("item", "نعم"),
        f"{FILLER}\nنعم", AgentCutError),
    Row("chosen nodes", run(FILLER, node="Filler") + run("مسودة", node="Draft")
        + run(*pieces(ANSWER)), f"{FILLER}\n{ANSWER}",
        options=ParserOptions(nodes=("Filler", "Agent")), unspoken={"Draft": 5}),
    Row("apology as text", line("begin") + line("end") + run(ANSWER, node="Respond to Webhook"),
        options=AGENT),
    Row("apology as JSON", run(document({"output": ANSWER}).decode(), node="Respond to Webhook"),
        options=AGENT),
    Row("thinking", run(*pieces(THOUGHTS + ANSWER))),
    Row("thinking before a tool", run(*pieces("<thinking>x")) + run(*pieces(ANSWER))),
    Row("thinking as chunks", data(*map(delta, pieces(THOUGHTS + ANSWER)), "[DONE]")),
    Row("only thinking", run(*pieces(THOUGHTS)), "", AgentEmptyError),
    Row("data in an item", run(document({"type": "data", "data": CARD}).decode(), node="Card")
        + run(*pieces(ANSWER)), data=((CARD, "Card"),)),
    Row("a line of data", line("data", json.dumps(CARD), "Card") + run(ANSWER),
        data=((CARD, "Card"),)),
    Row("a data node", run(*pieces(json.dumps(CARD)), node="Card") + run(ANSWER)
        + run("text", node="Card", item=1),
        options=ParserOptions(data_nodes=frozenset({"Card"})),
        data=((CARD, "Card"), ("text", "Card"))),
    Row("events of data", b"event: data\n" + data(json.dumps(CARD))
        + data(json.dumps({"type": "data", "content": "نص"}), delta(ANSWER, "stop")),
        data=((CARD, ""), ("نص", ""))),
    Row("a path in events", data(json.dumps({"x": {"t": ANSWER}}), "[DONE]"),
        options=ParserOptions(answer_path=("x", "t"))),
]  # fmt: skip

ROWS = [*WHOLE, *STREAMED]
