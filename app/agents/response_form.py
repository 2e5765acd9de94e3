"""The form of a response's body, judged by how it begins.

The `Content-Type` is of no use: n8n calls all its bodies `application/json`.
"""

import codecs
import re
from typing import Literal

from app.agents.json_response import may_be_json, parse
from app.agents.n8n_stream import is_n8n_line
from app.agents.openai_stream import is_chunk
from app.agents.sse import begins_with_event, is_only_comments

StreamForm = Literal["n8n", "chunks", "events"]
"""Lines of n8n's stream, OpenAI's chunks a line each, or server-sent events."""

Form = StreamForm | Literal["document", "text", "page"]
"""A stream, one JSON document, plain text, or a web page, which is no response."""

_PAGES = (b"<!doctype html", b"<html")
_MAX_PAGE_BYTES = max(map(len, _PAGES))
_QUOTES = 2  # around a string
_STRING_MARK = re.compile(rb'[\x00-\x1f"\\]')
_START_BYTES = 64  # of a longer start, only the end of its line says more


class FormDetector:
    """Detect the form of one body while it arrives.

    A body that begins with a line of n8n's stream, with a chunk, or with a field of server-sent
    events is a stream of these. Other JSON is a document, and so is what may be one JSON string.
    The rest is plain text.
    """

    def __init__(self) -> None:
        self.start = bytearray()
        """All that has come of the body, without what stands before its text."""
        self._searched_bytes = 0
        self._string = StringDetector()

    def feed(self, data: bytes) -> Form | None:
        """Take a chunk of the body; return the form, or None while more is needed.

        No byte is searched again and again, in however small chunks the body arrives.
        """
        self.start += data
        if codecs.BOM_UTF8.startswith(self.start):
            return None
        if not self._searched_bytes:
            self.start[:] = self.start.removeprefix(codecs.BOM_UTF8).lstrip()
        if self.start.startswith(b'"'):
            may_be_string = self._string.feed(self.start[self._searched_bytes :])
            self._searched_bytes = len(self.start)
            return None if may_be_string else "text"
        line_end = self.start.find(b"\n", self._searched_bytes)
        form = None
        if line_end >= 0 or self._searched_bytes < _START_BYTES:
            form = _form_of_start(self.start)
        self._searched_bytes = len(self.start)
        return form

    def finish(self) -> Form:
        """Return the form of a body that ended before its form was known."""
        self.start[:] = self.start.removeprefix(codecs.BOM_UTF8)
        has_comments = self.start.startswith(b":") and is_only_comments(bytes(self.start))
        return "events" if has_comments else "document"


class StringDetector:
    """Tell one JSON string from a text that begins with a quotation, while it arrives."""

    def __init__(self) -> None:
        self._is_escaped = False
        self._quotes = 0

    def feed(self, data: bytes | bytearray) -> bool:
        """Take a chunk; return whether all of it may be one string, with white space after it."""
        at = 0
        while at < len(data):
            if self._quotes == _QUOTES:
                return not data[at:].strip()
            if self._is_escaped:
                self._is_escaped, at = False, at + 1
                continue
            mark = _STRING_MARK.search(data, at)
            if mark is None:
                return True
            if mark[0] < b" ":
                return False
            self._is_escaped = mark[0] == b"\\"
            self._quotes += mark[0] == b'"'
            at = mark.end()
        return True


def form_of_json(value: object) -> Form:
    """Return the form of a body whose first line, or whole text, is this JSON value."""
    if is_n8n_line(value):
        return "n8n"
    return "chunks" if is_chunk(value) else "document"


def _form_of_start(start: bytearray) -> Form | None:
    if may_be_json(start):
        line, line_end, _ = start.partition(b"\n")
        return form_of_json(parse(line)) if line_end else None
    if (is_page := _is_page(start)) is not False:
        return "page" if is_page else None
    if not start or (is_event := begins_with_event(start)) is None:
        return None
    return "events" if is_event else "text"


def _is_page(start: bytearray) -> bool | None:
    """Return whether the body is a web page, such as a log-in form; None while undecided."""
    lowered = bytes(start[:_MAX_PAGE_BYTES]).lower()
    if lowered.startswith(_PAGES):
        return True
    return None if lowered and any(page.startswith(lowered) for page in _PAGES) else False
