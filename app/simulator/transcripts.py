"""Transcripts: what callers say, in place of speech recognition, and the agent's responses."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_CONVERSATION = Path(__file__).parent / "conversation.json"
_MAX_QUOTED_CHARACTERS = 200  # of a long text, so that a response stays one


@cache
def _built_in_conversation() -> dict[str, str]:
    """Load the built-in conversation: caller's line to agent's response, in order."""
    turns = json.loads(_CONVERSATION.read_text(encoding="utf-8"))
    return {turn["caller"]: turn["agent"] for turn in turns}


def built_in_lines() -> tuple[str, ...]:
    """Return the caller's lines of the built-in conversation, in order."""
    return tuple(_built_in_conversation())


def read_lines(path: Path) -> tuple[str, ...]:
    """Read transcripts from a UTF-8 file, one line a turn; blank lines are skipped.

    Raises `ValueError` when it is not UTF-8 or no line is left, and `OSError`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8") from None
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if not lines:
        raise ValueError(f"{path.name} holds no line")
    return lines


def canned_response(user_text: str) -> str:
    """Return the agent's response to a line of the built-in conversation; quote any other text."""
    known = _built_in_conversation().get(user_text.strip())
    if known is not None:
        return known
    quoted = " ".join(user_text.split())[:_MAX_QUOTED_CHARACTERS]
    return (
        f"وصلتني رسالتك التي تقول فيها «{quoted}» وقرأتها كاملة حرفاً حرفاً. "
        "أنا مساعد تجريبي يعمل بلا اتصال، ولذلك لا أعرف إلا قليلاً عن الشحنات ومواعيد تسليمها. "
        "هل تحب أن تسألني عن شحنة أو عن موعد التوصيل حتى أجيبك بما أعرفه؟"
    )


class Transcripts:
    """Hand out lines in order, and begin again after the last."""

    def __init__(self, lines: Sequence[str] | None = None) -> None:
        """Use these lines, at least one; None means the built-in conversation."""
        self._lines = tuple(lines) if lines is not None else built_in_lines()
        self._next = 0

    def next_transcript(self) -> str:
        """Return the next line."""
        line = self._lines[self._next % len(self._lines)]
        self._next += 1
        return line
