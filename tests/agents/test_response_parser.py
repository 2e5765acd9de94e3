"""`ResponseParser`: documents and plain text, the forms of a body, and its limits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.parser_options import ParserOptions
from app.agents.response_parser import ResponseParser
from app.agents.text_reader import MAX_VALUES
from app.errors import (
    AgentCutError,
    AgentEmptyError,
    AgentFailedError,
    AgentUnreachableError,
)
from tests.agents.lines import data, delta, line, run
from tests.agents.parsing import CAPTURES, Failure, check, read, read_cut_at


@pytest.mark.parametrize(
    ("body", "text", "failure"),
    [
        ('{"output":"نعم"}', "نعم", None),
        ('[{"output":"نعم"}]', "نعم", None),
        ('[{"text":"نعم"},{"text":"لا"}]', "نعم\nلا", None),
        ('{\n  "answer": "نعم"\n}\n', "نعم", None),
        ('{"output":{"response":"نعم"}}', "نعم", None),
        ('{"message":"Workflow was started"}', "", AgentUnreachableError),
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
def test_a_document_or_plain_text(body: str, text: str, failure: Failure) -> None:
    if len(body) > 1000:
        assert read(body.encode(), 4096) == (text, failure)
    else:
        check(body.encode(), text, failure)


@pytest.mark.parametrize("text", ["data", "dating", "event", "idea: x", ":) نعم", "a\ndata: b"])
def test_plain_text_may_begin_like_events(text: str) -> None:
    if text.startswith(":"):
        text += "\nx"  # a colon begins a comment, until something else follows
    check(text.encode(), text, None)


def test_plain_text_is_passed_on_as_it_arrives() -> None:
    parser = ResponseParser()
    word = "نعم".encode()
    assert parser.feed(word[:3]) == ["ن"]
    assert parser.feed(word[3:]) == ["عم"]


@pytest.mark.parametrize("start", [b'{"a":"', line("begin")])
def test_the_length_of_a_line_is_limited(start: bytes) -> None:
    parser = ResponseParser(ParserOptions(max_line_bytes=1000))
    parser.feed(start)
    parser.feed(b"x" * 1001)
    assert parser.failed
    assert parser.feed(b"\n" + run("نعم")) == []
    assert isinstance(parser.final_error(), AgentFailedError)


@pytest.mark.parametrize("chunk", [b"x" * 8, b": ping\n\n", b"\n:" + b"x" * 6])
@pytest.mark.parametrize("start", [b'{"output":"', b": "])
def test_no_byte_is_searched_again_and_again_however_small_the_chunks(
    start: bytes, chunk: bytes
) -> None:
    parser = ResponseParser()
    parser.feed(start)
    for _ in range(120_000):  # takes minutes if every byte is searched each time
        assert parser.feed(chunk) == []
    assert not parser.failed


@pytest.mark.parametrize("entry", ['{"output":"a"}', "{}", '{"output":[{}]}'])
def test_a_document_of_too_many_values_is_cut(entry: str) -> None:
    """A megabyte of small objects would hold the event loop for most of a second."""
    text, error = read(f"[{','.join([entry] * (MAX_VALUES + 1))}]".encode(), 4096)
    assert isinstance(error, AgentCutError)
    assert str(MAX_VALUES) in str(error)
    assert text == "\n".join("a" * (MAX_VALUES // 2) * (text != ""))


def test_an_item_of_n8n_that_repeats_too_many_values_is_cut_as_well() -> None:
    repeated = json.dumps([{"output": "a"}] * MAX_VALUES)
    text, error = read(run(repeated), 4096)
    assert text == "\n".join("a" * (MAX_VALUES // 2))
    assert isinstance(error, AgentCutError)


def test_many_comments_are_not_a_line_that_is_too_long() -> None:
    parser = ResponseParser(ParserOptions(max_line_bytes=10_000))
    for _ in range(2000):
        assert parser.feed(b": keep-alive\n\n") == []
    assert parser.feed(data(delta("نعم"))) == ["نعم"]


def test_text_before_garbage_in_the_same_chunk_is_passed_on() -> None:
    parser = ResponseParser()
    assert parser.feed(run("نعم") + b"garbage\n") == ["نعم"]
    assert parser.failed


@pytest.mark.parametrize(
    "body",
    [
        run(" ", "\n"),
        data(delta(" "), delta("\n"), delta(finish="stop"), "[DONE]"),
        data(" ", "[DONE]"),
    ],
)
def test_a_whitespace_only_response_is_empty(body: bytes) -> None:
    parser = ResponseParser(ParserOptions(nodes=("Agent",)))
    parser.feed(body)
    parser.finish()
    assert isinstance(parser.final_error(), AgentEmptyError)


@given(st.lists(st.integers(1, 400)))
def test_it_does_not_matter_how_a_body_is_cut(sizes: list[int]) -> None:
    body = (CAPTURES / "newlines.ndjson").read_bytes()
    assert read_cut_at(body, sizes) == read(body, len(body))


LISTS = b"[]," * 60_000
N8N_LINE = b'{"type":"item","content":"%s","metadata":{}}\n'


@pytest.mark.parametrize(
    ("body", "spoken"),
    [
        (b'{"output":"a","rows":[' + LISTS + b"0]}", ""),
        (b'{"a":' * 60_000 + b"0" + b"}" * 60_000, ""),
        (b'{"type":"begin","rows":[' + LISTS + b"0]}\n", ""),
        (N8N_LINE % b"a" + b'{"type":"item","content":"b","rows":[' + LISTS + b"0]}\n", "a"),
        (N8N_LINE % b"a" + b'{"type":"item","rows":[' + LISTS + b"0]}", "a"),
        (b'data: {"rows":[' + LISTS + b"0]}\n\n", ""),
        (b'data: {"rows":[\n' + b"data: [],[],[]\n" * 30_000 + b"data: 0]}\n\n", ""),
    ],
    ids=["document", "nested", "first line", "line", "last line", "event", "event of lines"],
)
@pytest.mark.parametrize("chunk_bytes", [4096, 1 << 20])
def test_json_of_too_many_values_is_refused_before_it_is_parsed(
    body: bytes, spoken: str, chunk_bytes: int
) -> None:
    parser = ResponseParser()
    pieces: list[str] = []
    for start in range(0, len(body), chunk_bytes):
        pieces += parser.feed(body[start : start + chunk_bytes])
    pieces += parser.finish()
    error = parser.final_error()
    assert isinstance(error, AgentFailedError)
    assert "more than 30000 values in one JSON document" in str(error)
    assert "".join(pieces) == spoken
