"""`N8nStreamParser`: the text of one node, and whether it is complete."""

import json

import pytest

from app.agents.parser_options import ParserOptions
from app.agents.response_parser import ResponseParser
from app.errors import AgentCutError, AgentEmptyError, AgentFailedError
from tests.agents.lines import line, run
from tests.agents.parsing import CAPTURED, CAPTURES, Failure, check

RESPOND = run('{"output":"نعم."}', node="Respond to Webhook")


@pytest.mark.parametrize(("capture", "node", "text", "failure"), CAPTURED)
def test_a_captured_response(capture: str, node: str | None, text: str, failure: Failure) -> None:
    check((CAPTURES / f"{capture}.ndjson").read_bytes(), text, failure, node)


def test_all_captures_are_in_the_table() -> None:
    assert {row[0] for row in CAPTURED} == {path.stem for path in CAPTURES.glob("*.ndjson")}


@pytest.mark.parametrize(
    ("body", "text", "failure"),
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
        pytest.param(run("نعم.") + RESPOND, "نعم.", None, id="respond-repeats"),
        pytest.param(run("**نعم**") + RESPOND, "**نعم**", None, id="respond-repeats-otherwise"),
        pytest.param(
            run("لحظة من فضلك.") + run("نعم.") + RESPOND,
            "لحظة من فضلك.\nنعم.",
            None,
            id="respond-repeats-the-last-run",
        ),
        pytest.param(run("لا.") + RESPOND, "لا.\nنعم.", None, id="respond-says-more"),
        pytest.param(RESPOND + run("لا."), "نعم.\nلا.", None, id="respond-first"),
        pytest.param(run("", "نعم") + run("لا"), "نعم\nلا", None, id="runs-are-separated"),
        pytest.param(run("نعم ") + run("لا"), "نعم لا", None, id="runs-are-separated-already"),
        pytest.param(run("نعم") + run("لا", item=1), "نعم\nلا", None, id="several-items"),
        pytest.param(
            run("نعم", node="A") + run("لا", node="B"), "نعم\nلا", None, id="second-agent"
        ),
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
def test_a_stream_of_n8n_lines(body: bytes, text: str, failure: Failure) -> None:
    check(body, text, failure)


def test_an_item_is_passed_on_when_its_line_is_complete() -> None:
    parser = ResponseParser()
    assert parser.feed(line("begin") + line("item", "نعم")) == ["نعم"]
    assert parser.feed(line("item", " لا")[:-1]) == []
    assert parser.feed(b"\n") == [" لا"]


def test_keepalives_and_empty_items_show_no_progress() -> None:
    parser = ResponseParser()
    parser.feed(line("begin"))
    before = parser.progress
    parser.feed(line("keepalive") + line("item", ""))
    assert parser.progress == before
    parser.feed(line("item", "نعم", "Other"))
    assert parser.progress == before + 1


def test_an_error_reason_is_known_at_once_and_shortened() -> None:
    parser = ResponseParser()
    parser.feed(run("نعم") + line("error", "x" * 5000, "Log"))
    assert parser.n8n_error_reason == "x" * 200
    assert parser.finish() == []
    assert parser.final_error() is None


def test_after_whitespace_the_repeated_response_is_passed_on() -> None:
    parser = ResponseParser(ParserOptions(nodes=("Agent",)))
    parser.feed(run("\n") + RESPOND)
    assert parser.finish() == ["نعم."]
    assert parser.final_error() is None
