"""Streams by `ResponseParser`: server-sent events, chunks, and n8n's lines in events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.parser_options import ParserOptions
from app.agents.response_parser import ResponseParser
from app.errors import AgentCutError, AgentEmptyError, AgentFailedError
from tests.agents.lines import data, delta, line, run
from tests.agents.parsing import Failure, check, read_cut_at

DONE = data("[DONE]")
YES = data(delta(role="assistant"), delta("نعم"), delta(" لا"))
CHUNKS = delta("نعم") + b"\n" + delta(" لا") + b"\n"
WHOLE = '{"object":"chat.completion","choices":[{"message":{"content":"نعم"}%s}]}'


def in_events(body: bytes) -> bytes:
    return data(*body.splitlines())


@pytest.mark.parametrize(
    ("body", "text", "failure"),
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
        pytest.param(data(delta(finish="stop")) + DONE, "", AgentEmptyError, id="no-text"),
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
def test_a_stream_of_server_sent_events(body: bytes, text: str, failure: Failure) -> None:
    check(body, text, failure)


def test_events_of_the_configured_node_are_passed_on() -> None:
    body = in_events(run("لا", node="A") + run("نعم", node="B"))
    check(body, "نعم", None, node="B")


@pytest.mark.parametrize(
    ("body", "text", "failure"),
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
def test_a_stream_of_chunks(body: bytes, text: str, failure: Failure) -> None:
    check(body, text, failure)


def test_an_event_is_passed_on_with_its_empty_line() -> None:
    parser = ResponseParser()
    assert parser.feed(b": ping\n\n" + data("نعم")) == ["نعم"]
    assert parser.feed(data(" لا")[:-1]) == []
    assert parser.feed(b"\n") == [" لا"]


@pytest.mark.parametrize("chunk", [b"x" * 501, b"\ndata: " + b"x" * 500])
def test_the_length_of_an_event_is_limited(chunk: bytes) -> None:
    parser = ResponseParser(ParserOptions(max_line_bytes=1000))
    for _ in range(3):
        parser.feed(b"data: " + chunk)
    assert parser.failed
    assert isinstance(parser.final_error(), AgentFailedError)


def test_keepalives_and_roles_show_no_progress_and_reasoning_does() -> None:
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
    assert not parser.awaiting_end
    parser.feed(data(delta(finish="stop")))
    assert (parser.awaiting_end, parser.done) == (True, False)
    parser.feed(DONE)
    assert (parser.awaiting_end, parser.done) == (True, True)


@given(st.lists(st.integers(1, 60)))
def test_it_does_not_matter_how_events_are_cut(sizes: list[int]) -> None:
    lines = b": x\n\n" + YES + data('{"text":"a\\ud83d"}', '{"text":"\\ude00"}') + DONE
    assert read_cut_at(lines.replace(b"\n", b"\r\n"), sizes) == ("نعم لاa😀", None)
