"""The parts of `ResponseParser`, each alone: lines, the form of a body, one parser for each."""

import pytest

from app.agents.event_stream import EventStreamParser
from app.agents.form_parser import FormParser
from app.agents.json_document import DocumentParser
from app.agents.json_lines import ChunkLinesParser, N8nLinesParser
from app.agents.line_reader import LineReader
from app.agents.plain_text import TextParser
from app.agents.response_form import Form, FormDetector
from app.errors import AgentCutError, AgentEmptyError
from tests.agents.lines import data, delta, run

YES = "نعم".encode()


def test_lines_are_complete_with_their_line_break() -> None:
    lines = LineReader()
    assert list(lines.feed(b"a\nb")) == [b"a"]
    assert list(lines.feed(b"c\r\n\nd")) == [b"bc\r", b""]
    assert (lines.pending_bytes, lines.finish(), lines.pending_bytes) == (1, b"d", 0)


def test_a_reader_who_stops_loses_no_line() -> None:
    lines = LineReader()
    assert next(lines.feed(b"a\nb\nc")) == b"a"
    assert list(lines.feed(b"\n")) == [b"b", b"c"]


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (run("نعم"), "n8n"),
        (delta("نعم") + b"\n", "chunks"),
        (data("نعم"), "events"),
        (b": ping\nid: 1\n", "events"),
        (b'{"output": "a"}\n', "document"),
        (b'{\n "output": "a"', "document"),
        (b"<!DOCTYPE html>", "page"),
        (b"\xef\xbb\xbf \n" + YES, "text"),
    ],
)
def test_the_form_of_a_body_shows_in_its_beginning(body: bytes, form: Form) -> None:
    detector = FormDetector()
    forms = [detector.feed(bytes([byte])) for byte in body]
    assert [known for known in forms if known is not None][:1] == [form]


@pytest.mark.parametrize(("body", "form"), [(b": ping\n\n", "events"), (b'{"a"', "document")])
def test_the_form_of_a_short_body_is_known_at_its_end(body: bytes, form: Form) -> None:
    detector = FormDetector()
    assert detector.feed(body) is None
    assert detector.finish() == form


@pytest.mark.parametrize(
    ("parser", "body"),
    [
        (TextParser(), " نعم".encode()),
        (DocumentParser(), '{"output": "نعم"}'.encode()),
        (DocumentParser(), YES),
        (DocumentParser(), delta("نعم", "stop")),
        (N8nLinesParser(), run("نعم")),
        (ChunkLinesParser(), delta("نعم") + b"\n[DONE]"),
        (EventStreamParser(), data("نعم", "[DONE]")),
    ],
)
def test_each_parser_reads_its_form_by_itself(parser: FormParser, body: bytes) -> None:
    pieces = [piece for byte in body for piece in parser.feed(bytes([byte]))]
    assert "".join(pieces + parser.finish()) == "نعم"
    assert parser.final_error() is None


@pytest.mark.parametrize(
    ("parser", "failure"),
    [
        (TextParser(), AgentEmptyError),
        (DocumentParser(), AgentEmptyError),
        (N8nLinesParser(), AgentCutError),
        (ChunkLinesParser(), AgentCutError),
        (EventStreamParser(), AgentCutError),
    ],
)
def test_a_body_that_ends_at_once_is_no_response(
    parser: FormParser, failure: type[Exception]
) -> None:
    assert parser.finish() == []
    assert isinstance(parser.final_error(), failure)
