"""What an answer's body says, read as it arrives: n8n's lines, one JSON object, or plain text."""

import codecs
from typing import Literal

from app.agent.document import (
    answer_in,
    failure_in,
    is_meant_as_json,
    may_be_json,
    parse,
    whole_characters,
)
from app.agent.nodes import NodeStream, is_stream_line
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError

_MAX_LINE_BYTES = 1 << 20  # some 20 minutes of speech: far beyond an answer, small in memory


class AnswerParser:
    """Turn the bytes of a body, cut anywhere, into pieces of text to be spoken.

    The form is told by content, for n8n calls all of them `application/json`. The first byte that
    is not blank decides for plain text, which streams on as it comes. A first line that is one of
    n8n's stream opens a stream. All else that looks like JSON is kept until the end, and is
    spoken as text if it turns out to be none. At most `max_line_bytes` are kept.

    Feed it until the body ends or it is `broken`, then take the rest with `finish`, and then ask
    for the `verdict`. Pieces are never empty; what was returned stays said, whatever the verdict.
    """

    def __init__(self, *, node: str | None = None, max_line_bytes: int = _MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._form: Literal["unknown", "lines", "document", "text"] = "unknown"
        self._held = bytearray()
        self._searched_bytes = 0
        self._stream = NodeStream(node)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text_pieces = 0
        self._fault: AgentError | None = None

    @property
    def progress(self) -> int:
        """Count the signs of work so far; `keepalive` and empty items are none."""
        return self._stream.progress + self._text_pieces

    @property
    def error_seen(self) -> str | None:
        """Give the reason in the last `error` line, whether or not it spoils the answer."""
        return self._stream.error

    @property
    def failing(self) -> bool:
        """Tell whether an `error` line is the last thing that happened."""
        return self._stream.failing

    @property
    def broken(self) -> bool:
        """Tell whether the body is beyond reading; more of it changes nothing."""
        return self._fault is not None

    def feed(self, data: bytes) -> list[str]:
        """Take in some of the body, and return the pieces that became known."""
        if self._fault is not None:
            return []
        self._held += data
        if self._form == "unknown":
            self._look_at_start()
        match self._form:
            case "text":
                data = bytes(self._held)
                self._held.clear()
                return self._text(self._decoder.decode(data))
            case "lines":
                pieces = self._lines()
            case _:
                pieces = []
        if len(self._held) > self._max_line_bytes:
            self._break(AgentFailedError(f"more than {self._max_line_bytes} bytes in one line"))
        return pieces

    def finish(self) -> list[str]:
        """Take note that the body has ended, and return the rest."""
        held = bytes(self._held).removeprefix(codecs.BOM_UTF8).strip()
        self._held.clear()
        if self._fault is not None:
            return []
        match self._form:
            case "text":
                return self._text(self._decoder.decode(b"", final=True))
            case "lines":
                return self._last_line(held)
            case _:
                return self._document(held)

    def verdict(self) -> AgentError | None:
        """Say, after `finish`, why the answer is not whole; None when it is.

        An `AgentEmptyError`, an `AgentCutError` or an `AgentFailedError`.
        """
        if self._fault is not None:
            return self._fault
        if self._form == "lines":
            return self._stream.verdict()
        return None if self._text_pieces else AgentEmptyError("the answer holds no text")

    def _look_at_start(self) -> None:
        if codecs.BOM_UTF8.startswith(self._held):
            return
        start = self._held = self._held.removeprefix(codecs.BOM_UTF8).lstrip()
        if start and not may_be_json(start):
            self._form = "text"
        elif b"\n" in start:
            first_line = parse(start[: start.index(b"\n")])
            self._form = "lines" if is_stream_line(first_line) else "document"

    def _lines(self) -> list[str]:
        pieces: list[str] = []
        while (end := self._held.find(b"\n", self._searched_bytes)) >= 0 and not self.broken:
            pieces += self._line(bytes(self._held[:end]).strip())
            del self._held[: end + 1]
            self._searched_bytes = 0
        self._searched_bytes = len(self._held)
        return pieces

    def _line(self, line: bytes) -> list[str]:
        if not line:
            return []
        value = parse(line)
        if not isinstance(value, dict):
            self._break(AgentFailedError("a line of the stream is no JSON object"))
            return []
        piece = self._stream.feed(value)
        return [piece] if piece else []

    def _last_line(self, line: bytes) -> list[str]:
        if line and parse(line) is None:
            self._break(AgentCutError("the stream ended within a line"))
            return []
        pieces = self._line(line)
        rest = self._stream.finish()
        return [*pieces, rest] if rest else pieces

    def _document(self, body: bytes) -> list[str]:
        value = parse(body)
        if is_stream_line(value):
            self._form = "lines"
            return self._last_line(body)
        if value is None and not is_meant_as_json(body):
            return self._text(body.decode(errors="replace"))
        answer = answer_in(value)
        if value is None:
            self._break(AgentCutError("the answer is JSON that breaks off"))
        elif not answer and (reason := failure_in(value)):
            self._break(AgentFailedError(reason[:200]))
        return self._text(whole_characters(answer))

    def _text(self, text: str) -> list[str]:
        if self._text_pieces == 0:
            text = text.lstrip()
        self._text_pieces += bool(text)
        return [text] if text else []

    def _break(self, fault: AgentError) -> None:
        self._fault = fault
        self._held.clear()
