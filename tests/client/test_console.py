"""`nabra talk`: what is printed, what is saved, what is typed."""

import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from app.client.client import ClientError, TurnResult, connect_client
from app.client.console import Screen, converse
from tests.client.fake_gateway import SENTENCE, FakeGateway, ignore, running, turn


def screen(width: int = 120) -> tuple[Screen, Callable[[], str]]:
    buffer = StringIO()
    return Screen(Console(file=buffer, width=width)), buffer.getvalue


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_screen_prints_the_response_once() -> None:
    """Tokens are printed as they come; the whole response is not printed again."""
    view, printed = screen()
    for event in turn():
        view.show(event)
    view.note("end")
    assert printed() == "You: مرحبا\nAgent: أهلا وسهلا.\nend\n"


def test_the_screen_prints_a_response_without_tokens() -> None:
    """A gateway that sends no tokens works, too."""
    view, printed = screen()
    view.show({"type": "agent_response", "text": "نعم."})
    view.show({"type": "interrupted", "reason": "client"})
    assert printed() == "Agent: نعم.\n(interrupted)\n"


def test_the_screen_prints_markup_as_text() -> None:
    """What users and agents say is never formatted."""
    view, printed = screen()
    view.show({"type": "token", "content": "[red]x[/nope]"})
    view.show({"type": "error", "code": "no-speech", "message": "[bold]"})
    assert printed() == "Agent: [red]x[/nope]\nerror no-speech: [bold]\n"


async def test_the_summary_shows_latencies() -> None:
    """The tables hold the turn's milliseconds and one row a sentence."""
    async with running(FakeGateway(turn())) as gateway, connect_client(gateway.url) as client:
        result = await client.send_text("x", ignore)
    view, printed = screen()
    view.summary(result)
    rows = printed().splitlines()
    assert any("transcript" in row and "121" in row for row in rows)
    assert any("whole turn" in row and "–" in row for row in rows)
    assert any("length of the audio" in row and "100" in row for row in rows)
    sentence = next(row for row in rows if "2 × incomplete-audio" in row)
    assert sentence.split() == [
        "0", "12", "websocket", "2", "reused", "310", "1,200", "2", "×", "incomplete-audio",
    ]  # fmt: skip


def test_the_summary_fits_a_narrow_terminal() -> None:
    """Eighty columns hold every word of the tables."""
    view, printed = screen(width=80)
    view.summary(TurnResult(metrics={"sentences": [SENTENCE]}))
    assert "…" not in printed()
    assert "connection" in printed()
    assert "websocket" in printed()


def test_a_rejected_turn_has_no_summary() -> None:
    """A turn that was rejected has no latencies."""
    view, printed = screen()
    view.summary(TurnResult(errors=[{"type": "error"}]))
    assert printed() == ""


async def test_saved_files_are_numbered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recording comes first, then the texts; each turn has a file of its own."""
    async with running(FakeGateway(turn(1), turn(2))) as gateway:
        succeeded = await converse(
            gateway.url,
            session_id=None,
            timeout_s=5,
            recording=b"x",
            texts=["شكرا"],
            out=tmp_path / "out.wav",
        )
    assert succeeded
    assert [set(message) for message in gateway.received] == [
        {"audio_base64", "id"},
        {"type", "text", "id"},
    ]
    assert names_in(tmp_path) == ["out-2.wav", "out.wav"]
    assert "You: شكرا" in capsys.readouterr().out


async def test_a_file_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be written is one line, after the turn was printed."""
    async with running(FakeGateway(turn())) as gateway:
        with pytest.raises(ClientError, match="cannot write"):
            await converse(
                gateway.url,
                session_id=None,
                timeout_s=5,
                recording=None,
                texts=["x"],
                out=tmp_path / "absent" / "out.wav",
            )
    assert "أهلا" in capsys.readouterr().out


async def test_errors_are_printed_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    """`converse` returns False after a turn with an error."""
    script = [{"type": "error", "code": "agent-empty", "message": "لا جواب", "turn": 1}, *turn()]
    async with running(FakeGateway(script)) as gateway:
        succeeded = await converse(
            gateway.url, session_id=None, timeout_s=5, recording=None, texts=["x"], out=None
        )
    assert not succeeded
    assert "error agent-empty: لا جواب" in capsys.readouterr().out


async def test_each_typed_line_is_a_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is a turn, empty lines are not, and the end of input ends the session."""
    (tmp_path / "lines").write_text("مرحبا\n\n  \nشكرا", encoding="utf-8")
    gateway = FakeGateway(turn(1), turn(2))
    async with running(gateway):
        with (tmp_path / "lines").open() as lines:
            monkeypatch.setattr(sys, "stdin", lines)
            assert await converse(
                gateway.url, session_id=None, timeout_s=5, recording=None, texts=[], out=None
            )
    assert [message["text"] for message in gateway.received] == ["مرحبا", "شكرا"]
    assert capsys.readouterr().out.count("Agent: ") == 2
