"""The built-in conversation, and transcripts from a file."""

import re
from pathlib import Path

import pytest

from app.simulator.transcripts import Transcripts, built_in_lines, canned_response, read_lines


def sentences_of(text: str) -> list[str]:
    return re.split(r"(?<=[.؟])\s+", text)


def test_the_built_in_conversation_is_a_call_about_a_shipment() -> None:
    assert len(built_in_lines()) == 6
    assert any("NQL.123" in line for line in built_in_lines())


@pytest.mark.parametrize("line", built_in_lines())
def test_its_responses_are_a_few_sentences_of_usual_length(line: str) -> None:
    sentences = sentences_of(canned_response(line))
    assert 3 <= len(sentences) <= 4
    assert all(50 <= len(sentence) <= 120 for sentence in sentences)
    assert all(sentence[-1] in ".؟" for sentence in sentences)


def test_any_other_text_is_quoted_and_a_long_one_is_cut() -> None:
    assert "كيف الحال" in canned_response("كيف   الحال")
    assert len(sentences_of(canned_response("كيف الحال"))) >= 3
    assert len(canned_response("ب" * 5_000)) < 600


def test_a_file_has_one_transcript_a_line(tmp_path: Path) -> None:
    path = tmp_path / "script.txt"
    path.write_text("\ufeffمرحبا\r\n\n  أين شحنتي؟  \n", encoding="utf-8")
    transcripts = Transcripts(read_lines(path))
    assert [transcripts.next_transcript() for _ in range(3)] == ["مرحبا", "أين شحنتي؟", "مرحبا"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"\n", "holds no line"), ("نعم".encode("utf-16"), "is not UTF-8")]
)
def test_a_file_without_transcripts_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "script.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^script.txt {message}"):
        read_lines(path)
