"""Transcripts: what the callers say, and what the agent answers them."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_CONVERSATION = Path(__file__).parent / "conversation.json"
_QUOTED_CHARACTERS = 200  # of a long text, so that an answer stays an answer


@cache
def _conversation() -> dict[str, str]:
    """Load the built-in conversation: line to answer, in the order in which it goes."""
    turns = json.loads(_CONVERSATION.read_text(encoding="utf-8"))
    return {turn["caller"]: turn["agent"] for turn in turns}


def built_in_lines() -> tuple[str, ...]:
    """Give the lines of the caller in the built-in conversation."""
    return tuple(_conversation())


def read_lines(path: Path) -> tuple[str, ...]:
    """Read a script: UTF-8, one line a turn; empty lines do not count.

    Raises `ValueError` when nothing is left or it is not UTF-8, and `OSError`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8") from None
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if not lines:
        raise ValueError(f"{path.name} holds no line")
    return lines


def canned_response(text: str) -> str:
    """Answer a line of the built-in conversation in kind, and any other text by quoting it."""
    known = _conversation().get(text.strip())
    if known is not None:
        return known
    quoted = " ".join(text.split())[:_QUOTED_CHARACTERS]
    return (
        f"وصلتني رسالتك التي تقول فيها «{quoted}» وقرأتها كاملة حرفاً حرفاً. "
        "أنا مساعد تجريبي يعمل بلا اتصال، ولذلك لا أعرف إلا قليلاً عن الشحنات ومواعيد تسليمها. "
        "هل تحب أن تسألني عن شحنة أو عن موعد التوصيل حتى أجيبك بما أعرفه؟"
    )


class Transcripts:
    """Say the next line, over and over from the first to the last."""

    def __init__(self, lines: Sequence[str] | None = None) -> None:
        self._lines = tuple(lines) if lines is not None else built_in_lines()
        self._next = 0

    def next_transcript(self) -> str:
        """Return the next line."""
        line = self._lines[self._next % len(self._lines)]
        self._next += 1
        return line
