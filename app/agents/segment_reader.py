"""The text of one segment of a response: what a node or a model writes in one go."""

import re
from enum import Enum, auto

from app.agents.json_response import (
    failure_reason,
    is_broken_json,
    may_be_json,
    parse,
    whole_characters,
)
from app.agents.text_reader import TOO_MANY_VALUES, TextReader
from app.agents.thinking import ThinkingFilter

_FENCE = re.compile(r"```(?:json)?\s*", re.IGNORECASE)
_FENCE_START = "```json"
_IS_JSON = re.compile(r'\{\s*"|\[\s*\{')
_MAX_START_CHARS = 200
"""White space in which JSON is looked for; a text that begins with more is passed on."""

NOT_AN_ANSWER = "the JSON holds no text under a usual key (AGENT_ANSWER_PATH names another)"
BROKEN_JSON = "the JSON ended too early"


class _Kind(Enum):
    UNKNOWN = auto()
    PROSE = auto()
    JSON = auto()


class SegmentReader:
    """Drop the thinking of a segment, and hold it back while it may be JSON.

    Prose is passed on as it comes. Of JSON, which an output parser makes, the text is known at its
    end. A JSON document within a fence of Markdown is JSON, too.
    """

    def __init__(self, path: tuple[str, ...] = ()) -> None:
        self.value: dict[str, object] | list[object] | None = None
        """The JSON that the segment was, after `finish`."""
        self.problem: str | None = None
        """Why JSON gave no text, or not all of it; None unless it did."""
        self.failure: str | None = None
        """Why the agent failed, by what the JSON says; None unless it does."""
        self._path = path
        self._thinking = ThinkingFilter()
        self._kind = _Kind.UNKNOWN
        self._held: list[str] = []
        self.held_chars = 0
        """Size of what is held back."""

    def feed(self, content: str) -> str:
        """Take a piece, and return what of it can be passed on."""
        text = self._thinking.feed(content)
        if self._kind is _Kind.PROSE or not text:
            return text
        self._held.append(text)
        self.held_chars += len(text)
        if self._kind is _Kind.JSON:
            return ""
        start = "".join(self._held)
        self._kind = _kind_of(start.lstrip())
        if self._kind is _Kind.UNKNOWN and self.held_chars <= _MAX_START_CHARS:
            self._held = [start]
            return ""
        if self._kind is _Kind.JSON:
            return ""
        self._kind = _Kind.PROSE
        return self._take()

    def finish(self) -> str:
        """Take the end of the segment, and return what remains: the text of JSON, or the rest."""
        rest = self._take() + self._thinking.finish()
        kind, self._kind = self._kind, _Kind.UNKNOWN
        return self._text_of_json(rest) if kind is _Kind.JSON else rest

    def _take(self) -> str:
        text, self._held, self.held_chars = "".join(self._held), [], 0
        return text

    def _text_of_json(self, text: str) -> str:
        document = _without_fence(text)
        self.value = parse(document)
        if self.value is None:
            if not is_broken_json(document.encode(errors="replace")):
                return text
            self.problem = BROKEN_JSON
            return ""
        reader = TextReader(self._path)
        answer = whole_characters(reader.read(self.value))
        if reader.is_exhausted:
            self.problem = TOO_MANY_VALUES
        elif not answer:
            self.problem, self.failure = NOT_AN_ANSWER, failure_reason(self.value)
        return answer


def _kind_of(start: str) -> _Kind:
    """Return what begins with `start`, which has no white space before it."""
    if start.startswith("`") or not start:
        if _FENCE_START.startswith(start.lower()):
            return _Kind.UNKNOWN
        if (fence := _FENCE.match(start)) is None:
            return _Kind.PROSE
        start = start[fence.end() :]
    if not start:
        return _Kind.UNKNOWN
    if not may_be_json(start.encode(errors="replace")):
        return _Kind.PROSE
    return _Kind.JSON if _IS_JSON.match(start) else _Kind.UNKNOWN


def _without_fence(text: str) -> str:
    text = text.strip()
    if (fence := _FENCE.match(text)) is None:
        return text
    return text[fence.end() :].removesuffix("```").rstrip()
