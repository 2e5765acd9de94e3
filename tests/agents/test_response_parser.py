"""What is read from the body of an answer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.response_parser import ResponseParser
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError
from tests.agents.lines import data, delta, line, run

CAPTURES = Path(__file__).parent.parent / "data" / "n8n"
GREETING = (
    "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت إلى مدينة الرياض صباح اليوم. "
    "سيتصل بك المندوب قبل التسليم بساعة واحدة. هل تحتاج أي مساعدة أخرى؟"
)
Fault = type[AgentError] | None


def read(body: bytes, size: int, node: str | None = None) -> tuple[str, AgentError | None]:
    parser = ResponseParser(node=node)
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
    parser = ResponseParser()
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
        ("\n<!DOCTYPE html>\n<html><title>Log in</title></html>", "", AgentFailedError),
        ("<HTML lang='ar'>نعم</html>", "", AgentFailedError),
        ("<b>نعم</b>", "<b>نعم</b>", None),
        ("<h", "<h", None),
        ("{" + " " * 100 + "نعم}\nلا", "{" + " " * 100 + "نعم}\nلا", None),
    ],
)
def test_other_answers(body: str, text: str, fault: Fault) -> None:
    if len(body) > 1000:
        said, verdict = read(body.encode(), 4096)
        assert (said, verdict) == (text, fault)
    else:
        check(body.encode(), text, fault)


def test_plain_text_streams_on_as_it_comes() -> None:
    parser = ResponseParser()
    word = "نعم".encode()
    assert parser.feed(word[:3]) == ["ن"]
    assert parser.feed(word[3:]) == ["عم"]


def test_a_stream_gives_out_each_item_with_its_line() -> None:
    parser = ResponseParser()
    assert parser.feed(line("begin") + line("item", "نعم")) == ["نعم"]
    assert parser.feed(line("item", " لا")[:-1]) == []
    assert parser.feed(b"\n") == [" لا"]


@pytest.mark.parametrize("start", [b'{"a":"', line("begin")])
def test_a_line_is_bounded(start: bytes) -> None:
    parser = ResponseParser(max_line_bytes=1000)
    parser.feed(start)
    parser.feed(b"x" * 1001)
    assert parser.broken
    assert parser.feed(b"\n" + run("نعم")) == []
    assert isinstance(parser.verdict(), AgentFailedError)


@pytest.mark.parametrize("part", [b"x" * 8, b": ping\n\n", b"\n:" + b"x" * 6])
@pytest.mark.parametrize("start", [b'{"output":"', b": "])
def test_however_small_the_parts_no_byte_is_looked_at_again_and_again(
    start: bytes, part: bytes
) -> None:
    parser = ResponseParser()
    parser.feed(start)
    for _ in range(120_000):  # minutes, were all of it looked at each time
        assert parser.feed(part) == []
    assert not parser.broken


def test_many_comments_are_no_line_that_is_too_long() -> None:
    parser = ResponseParser(max_line_bytes=10_000)
    for _ in range(2000):
        assert parser.feed(b": keep-alive\n\n") == []
    assert parser.feed(YES) == ["نعم", " لا"]


def test_what_came_before_garbage_in_the_same_chunk_is_given_out() -> None:
    parser = ResponseParser()
    assert parser.feed(run("نعم") + b"garbage\n") == ["نعم"]
    assert parser.broken


def test_keepalive_and_empty_items_are_no_progress() -> None:
    parser = ResponseParser()
    parser.feed(line("begin"))
    before = parser.progress
    parser.feed(line("keepalive") + line("item", ""))
    assert parser.progress == before
    parser.feed(line("item", "نعم", "Other"))
    assert parser.progress == before + 1


def test_an_error_is_told_at_once_and_in_bounds() -> None:
    parser = ResponseParser()
    parser.feed(run("نعم") + line("error", "x" * 5000, "Log"))
    assert parser.error_seen == "x" * 200
    assert parser.finish() == []
    assert parser.verdict() is None


DONE = data("[DONE]")
YES = data(delta(role="assistant"), delta("نعم"), delta(" لا"))


def in_events(body: bytes) -> bytes:
    return data(*body.splitlines())


@pytest.mark.parametrize(
    ("body", "text", "fault"),
    [
        pytest.param(YES + data(delta(finish="stop")) + DONE, "نعم لا", None, id="openai"),
        pytest.param(YES + DONE, "نعم لا", None, id="done-alone"),
        pytest.param(YES + data(delta(".", "stop")), "نعم لا.", None, id="finish-reason-alone"),
        pytest.param(YES, "نعم لا", AgentCutError, id="no-end"),
        pytest.param(YES + DONE[:-2], "نعم لا", None, id="no-last-empty-line"),
        pytest.param(YES + b"data: [DO", "نعم لا", AgentCutError, id="cut-in-done"),
        pytest.param(YES + data(delta("x"))[:-9], "نعم لا", AgentCutError, id="cut-in-event"),
        pytest.param(YES + b'data: {"ch', "نعم لا", AgentCutError, id="cut-in-a-key"),
        pytest.param(
            YES + data(delta(finish="length")) + DONE, "نعم لا", AgentCutError, id="length"
        ),
        pytest.param(data(delta(finish="stop")) + DONE, "", AgentEmptyError, id="says-nothing"),
        pytest.param(DONE, "", AgentEmptyError, id="done-at-once"),
        pytest.param(b": ping\n\n: ping\n\n", "", AgentCutError, id="comments-alone"),
        pytest.param(
            b": ping\n\n: ping\r\n\r\n" + YES + b": ping\n\n" + DONE, "نعم لا", None, id="comments"
        ),
        pytest.param((YES + DONE).replace(b"\n", b"\r\n"), "نعم لا", None, id="crlf"),
        pytest.param((YES + DONE).replace(b"data: ", b"data:"), "نعم لا", None, id="no-space"),
        pytest.param(b"\xef\xbb\xbf\r\n" + YES + DONE, "نعم لا", None, id="bom"),
        pytest.param(
            b"event: message\nid: 1\nretry: 10\nunknown\n" + YES + DONE, "نعم لا", None, id="fields"
        ),
        pytest.param(YES + data('{"choices":[],"usage":{}}') + DONE, "نعم لا", None, id="usage"),
        pytest.param(
            YES + data('{"choices":[{"index":1,"delta":{"content":"x"}}]}') + DONE,
            "نعم لا",
            None,
            id="second-choice",
        ),
        pytest.param(
            data(delta("لحظة"), delta(finish="tool_calls"), delta("نعم", "stop")) + DONE,
            "لحظة\nنعم",
            None,
            id="tool",
        ),
        pytest.param(
            data(delta("لحظة"), delta(finish="tool_calls")), "لحظة", AgentCutError, id="tool-cut"
        ),
        pytest.param(
            YES + data('{"error":{"message":"boom"}}') + DONE,
            "نعم لا",
            AgentFailedError,
            id="error",
        ),
        pytest.param(YES + data('{"error":"boom"}'), "نعم لا", AgentFailedError, id="error-text"),
        pytest.param(
            YES + data('{"type":"error","message":"boom"}'),
            "نعم لا",
            AgentFailedError,
            id="error-type",
        ),
        pytest.param(
            YES + b"event: error\ndata: boom\n\n" + DONE,
            "نعم لا",
            AgentFailedError,
            id="error-event",
        ),
        pytest.param(YES + b'data: {"a":\n\n', "نعم لا", AgentFailedError, id="broken-json"),
        pytest.param(
            data('{"output":"a"}', '{"content":"b"}', '{"text":"c"}', '{"token":"d"}') + DONE,
            "abcd",
            None,
            id="objects",
        ),
        pytest.param(data('{"token":"a"}', '{"done":true}'), "a", None, id="done-object"),
        pytest.param(
            data('{"token":"a"}') + b'event: done\ndata: {"text":"a"}\n\n',
            "a",
            None,
            id="the-end-repeats-it",
        ),
        pytest.param(b'event: done\ndata: {"text":"a"}\n\n', "a", None, id="all-in-the-end"),
        pytest.param(data("a") + b"event: end\n\n", "a", None, id="event-without-data"),
        pytest.param(
            data("a") + b"event: ping\ndata: {}\n\n" + data("b") + DONE, "ab", None, id="ping-event"
        ),
        pytest.param(data("نعم", " لا") + DONE, "نعم لا", None, id="plain-text"),
        pytest.param(data("نعم", " لا"), "نعم لا", AgentCutError, id="plain-text-cut"),
        pytest.param(data('"نعم\\n"', '"'), 'نعم\n"', AgentCutError, id="quoted-text"),
        pytest.param(data("5", "[1]", "{x}") + DONE, "5[1]{x}", None, id="no-objects"),
        pytest.param(b"data: a\ndata: b\ndata\n\n" + DONE, "a\nb\n", None, id="several-lines"),
        pytest.param(
            b'data: {"text":\ndata: "a"}\n\n' + DONE, "a", None, id="json-on-several-lines"
        ),
        pytest.param(YES + DONE + data("x") + b"{", "نعم لا", None, id="after-the-end"),
        pytest.param(
            data('{"text":"a\\ud83d"}', '{"text":"\\ude00"}') + DONE, "a😀", None, id="halves"
        ),
        pytest.param(in_events(run("نعم", " لا")), "نعم لا", None, id="n8n-lines"),
        pytest.param(in_events(run("نعم")[:-1]) + DONE, "نعم", None, id="n8n-lines-done"),
        pytest.param(
            in_events(line("begin") + line("item", "نعم")), "نعم", AgentCutError, id="n8n-cut"
        ),
        pytest.param(
            in_events(line("begin") + line("item", "نعم")) + DONE, "نعم", None, id="n8n-done"
        ),
        pytest.param(
            in_events(line("begin") + line("error", "401")), "", AgentFailedError, id="n8n-error"
        ),
        pytest.param(
            data('{"type":"item","content":"a"}', '{"type":"end"}'), "a", None, id="no-metadata"
        ),
        pytest.param(data('{"text":"a"}', '{"type":"end"}'), "a", None, id="end-of-others"),
    ],
)
def test_server_sent_events(body: bytes, text: str, fault: Fault) -> None:
    check(body, text, fault)


@pytest.mark.parametrize(
    "body",
    [
        run(" ", "\n"),
        data(delta(" "), delta("\n"), delta(finish="stop"), "[DONE]"),
        data(" ", "[DONE]"),
    ],
)
def test_blanks_are_no_answer(body: bytes) -> None:
    parser = ResponseParser(node="Agent")
    parser.feed(body)
    parser.finish()
    assert isinstance(parser.verdict(), AgentEmptyError)


def test_after_blanks_the_answer_in_json_is_said() -> None:
    parser = ResponseParser(node="Agent")
    parser.feed(run("\n") + RESPOND)
    assert parser.finish() == ["نعم."]
    assert parser.verdict() is None


def test_events_of_the_configured_node_are_spoken() -> None:
    body = in_events(run("لا", node="A") + run("نعم", node="B"))
    check(body, "نعم", None, node="B")


CHUNKS = delta("نعم") + b"\n" + delta(" لا") + b"\n"
WHOLE = '{"object":"chat.completion","choices":[{"message":{"content":"نعم"}%s}]}'


@pytest.mark.parametrize(
    ("body", "text", "fault"),
    [
        pytest.param(CHUNKS + delta(finish="stop") + b"\n", "نعم لا", None, id="finish"),
        pytest.param(CHUNKS + delta(finish="stop"), "نعم لا", None, id="no-last-newline"),
        pytest.param(CHUNKS + b"[DONE]\n", "نعم لا", None, id="done"),
        pytest.param(CHUNKS + b"[DONE]", "نعم لا", None, id="done-no-newline"),
        pytest.param(CHUNKS, "نعم لا", AgentCutError, id="cut"),
        pytest.param(CHUNKS + delta("x")[:-3], "نعم لا", AgentCutError, id="cut-in-line"),
        pytest.param(CHUNKS + b'{"error":{}}\n', "نعم لا", AgentCutError, id="no-error"),
        pytest.param(CHUNKS + b'{"error":{"code":1}}\n', "نعم لا", AgentFailedError, id="error"),
        pytest.param(CHUNKS + b"<html>\n", "نعم لا", AgentFailedError, id="garbage"),
        pytest.param(WHOLE.replace("%s", "").encode(), "نعم", None, id="not-streamed"),
        pytest.param(
            WHOLE.replace("%s", ',"finish_reason":"length"').encode(),
            "نعم",
            AgentCutError,
            id="len",
        ),
        pytest.param(
            json.dumps(json.loads(WHOLE.replace("%s", "")), indent=1).encode(),
            "نعم",
            None,
            id="indented",
        ),
        pytest.param(b'{"choices":[]}', "", AgentCutError, id="no-choice"),
    ],
)
def test_chunks_without_events(body: bytes, text: str, fault: Fault) -> None:
    check(body, text, fault)


@pytest.mark.parametrize("text", ["data", "dating", "event", "idea: x", ":) نعم", "a\ndata: b"])
def test_text_that_only_begins_like_events_is_text(text: str) -> None:
    if text.startswith(":"):
        text += "\nx"  # a colon opens a comment, until something else follows
    check(text.encode(), text, None)


def test_an_event_is_given_out_with_its_empty_line() -> None:
    parser = ResponseParser()
    assert parser.feed(b": ping\n\n" + data("نعم")) == ["نعم"]
    assert parser.feed(data(" لا")[:-1]) == []
    assert parser.feed(b"\n") == [" لا"]


@pytest.mark.parametrize("part", [b"x" * 501, b"\ndata: " + b"x" * 500])
def test_an_event_is_bounded(part: bytes) -> None:
    parser = ResponseParser(max_line_bytes=1000)
    for _ in range(3):
        parser.feed(b"data: " + part)
    assert parser.broken
    assert isinstance(parser.verdict(), AgentFailedError)


def test_keepalives_and_roles_are_no_progress_and_reasoning_is() -> None:
    parser = ResponseParser()
    parser.feed(data("a"))
    before = parser.progress
    parser.feed(b": ping\n\nevent: ping\ndata: {}\n\n" + data(delta(""), delta(role="assistant")))
    assert parser.progress == before
    parser.feed(data(delta(reasoning_content="hm")))
    assert parser.progress == before + 1


def test_the_end_is_known_before_the_body_ends() -> None:
    parser = ResponseParser()
    parser.feed(YES)
    assert not parser.ending
    parser.feed(data(delta(finish="stop")))
    assert (parser.ending, parser.done) == (True, False)
    parser.feed(DONE)
    assert (parser.ending, parser.done) == (True, True)


@given(st.lists(st.integers(1, 60)))
def test_slices_of_events_do_not_matter(sizes: list[int]) -> None:
    body = (b": x\n\n" + YES + data('{"text":"a\\ud83d"}', '{"text":"\\ude00"}') + DONE).replace(
        b"\n", b"\r\n"
    )
    parser = ResponseParser()
    text, start = "", 0
    for size in [*sizes, len(body)]:
        text += "".join(parser.feed(body[start : start + size]))
        start += size
    assert text + "".join(parser.finish()) == "نعم لاa😀"
    assert parser.verdict() is None
