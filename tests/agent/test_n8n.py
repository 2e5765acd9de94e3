"""What is read from the body of an answer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.n8n import AnswerParser
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError
from tests.agent.lines import line, run

CAPTURES = Path(__file__).parent.parent / "data" / "n8n"
GREETING = (
    "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت إلى مدينة الرياض صباح اليوم. "
    "سيتصل بك المندوب قبل التسليم بساعة واحدة. هل تحتاج أي مساعدة أخرى؟"
)
Fault = type[AgentError] | None


def read(body: bytes, size: int, node: str | None = None) -> tuple[str, AgentError | None]:
    parser = AnswerParser(node=node)
    pieces: list[str] = []
    for start in range(0, len(body), size):
        pieces += parser.feed(body[start : start + size])
    pieces += parser.finish()
    assert all(pieces), "a piece was empty"
    return "".join(pieces), parser.verdict()


def check(body: bytes, text: str, fault: Fault, node: str | None = None) -> None:
    for size in (1, 3, 7, 64, len(body) or 1):
        said, verdict = read(body, size, node)
        assert said == text
        assert type(verdict) is (fault or type(None))


@pytest.mark.parametrize(
    ("capture", "node", "text", "fault"),
    [
        ("voice-stream", None, GREETING, None),
        ("demo-shape", None, GREETING, None),
        ("demo-shape", "Conversation Agent", GREETING, None),
        ("demo-shape", "Respond to Webhook", GREETING, None),
        ("demo-shape", "Unheard", GREETING, None),
        ("voice-json", None, GREETING, None),
        ("tools-calculator", None, "لحظة من فضلك، سأتحقق. " + GREETING, None),
        ("two-agents", None, GREETING, None),
        ("two-agents", "Second Agent", "رأي الخبير: الشحنة في المستودع. وستصل غداً.", None),
        ("two-agents", "Third Agent", "", AgentEmptyError),
        ("fail500", None, "", AgentFailedError),
        (
            "keepalive-30s",
            None,
            "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت ",
            AgentFailedError,
        ),
        (
            "newlines",
            None,
            'سطر أول.\nسطر ثانٍ مع "اقتباس" و\\شرطة.\n\n- بند 😀\u2028نهاية.\r\nتم.',
            None,
        ),
    ],
)
def test_captured_answers(capture: str, node: str | None, text: str, fault: Fault) -> None:
    check((CAPTURES / f"{capture}.ndjson").read_bytes(), text, fault, node)


def test_all_captures_are_in_the_table() -> None:
    table = test_captured_answers.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {row[0] for row in table} == {path.stem for path in CAPTURES.glob("*.ndjson")}


@given(st.lists(st.integers(1, 400)))
def test_slices_do_not_matter(sizes: list[int]) -> None:
    body = (CAPTURES / "newlines.ndjson").read_bytes()
    parser = AnswerParser()
    text, start = "", 0
    for size in [*sizes, len(body)]:
        text += "".join(parser.feed(body[start : start + size]))
        start += size
    assert text + "".join(parser.finish()) == read(body, len(body))[0]


RESPOND = line("item", '{"output":"نعم."}', "Respond to Webhook")


@pytest.mark.parametrize(
    ("body", "text", "fault"),
    [
        pytest.param(line("begin") + line("error", "401"), "", AgentFailedError, id="model-fails"),
        pytest.param(
            line("begin") + line("item", "نعم") + line("error"),
            "نعم",
            AgentFailedError,
            id="model-drops",
        ),
        pytest.param(
            run("نعم.") + line("error", "boom", "Log"), "نعم.", None, id="later-node-fails"
        ),
        pytest.param(run("نعم.") + line("error", "t"), "نعم.", AgentFailedError, id="timeout"),
        pytest.param(
            line("error", "boom", "Tool") + run("نعم."), "نعم.", None, id="earlier-node-fails"
        ),
        pytest.param(line("begin"), "", AgentEmptyError, id="continue-on-error"),
        pytest.param(b"", "", AgentEmptyError, id="empty-200"),
        pytest.param(b" \r\n", "", AgentEmptyError, id="blank-200"),
        pytest.param(line("begin") + line("item", "نعم"), "نعم", AgentCutError, id="n8n-stops"),
        pytest.param(run("نعم") + line("item", "لا")[:-20], "نعم", AgentCutError, id="cut-in-line"),
        pytest.param(line("begin")[:-20], "", AgentCutError, id="cut-in-first-line"),
        pytest.param(RESPOND, "نعم.", None, id="only-respond"),
        pytest.param(run("لا.") + RESPOND, "لا.", None, id="respond-repeats"),
        pytest.param(RESPOND + run("لا."), "لا.", None, id="respond-first"),
        pytest.param(run("", "نعم") + run("لا"), "نعم\nلا", None, id="runs-are-parted"),
        pytest.param(run("نعم ") + run("لا"), "نعم لا", None, id="runs-are-parted-already"),
        pytest.param(run("نعم") + run("لا", item=1), "نعم\nلا", None, id="several-items"),
        pytest.param(run("نعم", node="A") + run("لا", node="B"), "نعم", None, id="second-agent"),
        pytest.param(run("", node="A") + run("لا", node="B"), "لا", None, id="first-is-mute"),
        pytest.param(line("keepalive") + run("نعم"), "نعم", None, id="keepalive-first"),
        pytest.param(run("نعم").replace(b"\n", b"\r\n"), "نعم", None, id="crlf"),
        pytest.param(
            b"\xef\xbb\xbf\n" + run("نعم")[:-1], "نعم", None, id="bom-and-no-last-newline"
        ),
        pytest.param(run("نعم") + b"<html>\n" + run("لا"), "نعم", AgentFailedError, id="garbage"),
        pytest.param(
            b"".join(
                json.dumps({"type": t, "content": c}).encode() + b"\n"
                for t, c in (("item", "a\ud83d"), ("item", "\ude00"), ("end", ""))
            ),
            "a😀",
            None,
            id="half-characters",
        ),
    ],
)
def test_streams(body: bytes, text: str, fault: Fault) -> None:
    check(body, text, fault)


@pytest.mark.parametrize(
    ("body", "text", "fault"),
    [
        ('{"output":"نعم"}', "نعم", None),
        ('[{"output":"نعم"}]', "نعم", None),
        ('[{"text":"نعم"},{"text":"لا"}]', "نعم\nلا", None),
        ('{\n  "answer": "نعم"\n}\n', "نعم", None),
        ('{"output":{"response":"نعم"}}', "نعم", None),
        ('{"message":"Workflow was started"}', "", AgentEmptyError),
        ('{"message":"Error in workflow"}', "", AgentFailedError),
        ('{"error":{"message":"x"}}', "", AgentFailedError),
        ('{"output":"  "}', "", AgentEmptyError),
        ("{}", "", AgentEmptyError),
        ("[]", "", AgentEmptyError),
        ('{"type":["item"]}', "", AgentEmptyError),
        ('{"output":"نعم', "", AgentCutError),
        ("[" * 100_000, "[" * 100_000, None),
        (" مرحباً\r\nبك 😀", "مرحباً\r\nبك 😀", None),
        ("[ملاحظة] نعم", "[ملاحظة] نعم", None),
        ("{نعم}\nلا", "{نعم}\nلا", None),
        ("{ ", "{", None),
    ],
)
def test_other_answers(body: str, text: str, fault: Fault) -> None:
    if len(body) > 1000:
        said, verdict = read(body.encode(), 4096)
        assert (said, verdict) == (text, fault)
    else:
        check(body.encode(), text, fault)


def test_plain_text_streams_on_as_it_comes() -> None:
    parser = AnswerParser()
    word = "نعم".encode()
    assert parser.feed(word[:3]) == ["ن"]
    assert parser.feed(word[3:]) == ["عم"]


def test_a_stream_gives_out_each_item_with_its_line() -> None:
    parser = AnswerParser()
    assert parser.feed(line("begin") + line("item", "نعم")) == ["نعم"]
    assert parser.feed(line("item", " لا")[:-1]) == []
    assert parser.feed(b"\n") == [" لا"]


@pytest.mark.parametrize("start", [b'{"a":"', line("begin")])
def test_a_line_is_bounded(start: bytes) -> None:
    parser = AnswerParser(max_line_bytes=1000)
    parser.feed(start)
    parser.feed(b"x" * 1001)
    assert parser.broken
    assert parser.feed(b"\n" + run("نعم")) == []
    assert isinstance(parser.verdict(), AgentFailedError)


def test_what_came_before_garbage_in_the_same_chunk_is_given_out() -> None:
    parser = AnswerParser()
    assert parser.feed(run("نعم") + b"garbage\n") == ["نعم"]
    assert parser.broken


def test_keepalive_and_empty_items_are_no_progress() -> None:
    parser = AnswerParser()
    parser.feed(line("begin"))
    before = parser.progress
    parser.feed(line("keepalive") + line("item", ""))
    assert parser.progress == before
    parser.feed(line("item", "نعم", "Other"))
    assert parser.progress == before + 1


def test_an_error_is_told_at_once_and_in_bounds() -> None:
    parser = AnswerParser()
    parser.feed(run("نعم") + line("error", "x" * 5000, "Log"))
    assert parser.error_seen == "x" * 200
    assert parser.finish() == []
    assert parser.verdict() is None
