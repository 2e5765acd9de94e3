"""The text of an agent's response, parsed while the body arrives in any of the usual forms."""

import codecs
from collections.abc import Callable

from app.agents.json_response import (
    MAX_REASON_CHARS,
    NO_TEXT,
    failure_reason,
    is_broken_json,
    parse,
    response_text,
    whole_characters,
)
from app.agents.response_form import Form, FormDetector, form_of_json
from app.agents.sse import is_only_comments
from app.agents.stream_parser import StreamParser
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError

MAX_LINE_BYTES = 1024 * 1024
"""About 20 minutes of speech: far beyond a response, small in memory."""


class ResponseParser:
    """Turn the bytes of a body, cut anywhere, into pieces of text to be spoken.

    Streams and plain text are passed on as they arrive. A JSON document is kept until the end;
    what turns out not to be JSON is text. At most `max_line_bytes` are kept. `node` is the n8n node
    that answers the user; None means the first that sends text. `on_form` is told the form.

    Feed it until the body ends or `failed` is true, then call `finish`, then `final_error`. Pieces
    are never empty, and remain valid whatever the final error.
    """

    def __init__(
        self,
        *,
        node: str | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
        on_form: Callable[[str], None] | None = None,
    ) -> None:
        self._node = node
        self._on_form = on_form
        self._max_line_bytes = max_line_bytes
        self._form: Form | None = None
        self._detector = FormDetector()
        self._buffer = bytearray()
        self._searched_bytes = 0
        self._stream: StreamParser | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text_pieces = 0
        self._error: AgentError | None = None

    @property
    def progress(self) -> int:
        """Return the count of what shows progress: not keep-alives, not empty texts."""
        return self._text_pieces + (self._stream.progress if self._stream else 0)

    @property
    def n8n_error_reason(self) -> str | None:
        """Return the reason in n8n's last `error` line, whether or not the response failed."""
        return self._stream.n8n_error_reason if self._stream else None

    @property
    def awaiting_end(self) -> bool:
        """Return whether only the end of the body should follow: after an error, or the end."""
        return self._stream is not None and self._stream.awaiting_end

    @property
    def done(self) -> bool:
        """Return whether the end of the response was announced; nothing after it is read."""
        return self._stream is not None and self._stream.done

    @property
    def failed(self) -> bool:
        """Return whether the body cannot be read on; nothing after that is read."""
        return self._error is not None

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the body, and return the pieces that are known by now."""
        if self.failed:
            return []
        self._buffer += data
        if self._form is None:
            self._detect_form()
        pieces: list[str] = []
        if self._form == "text":
            data = bytes(self._buffer)
            self._buffer.clear()
            pieces = self._text(self._decoder.decode(data))
        elif self._stream is not None:
            pieces = self._feed_lines(self._stream)
        pending_bytes = self._stream.pending_bytes if self._stream else 0
        if len(self._buffer) + pending_bytes > self._max_line_bytes:
            limit = f"{self._max_line_bytes} bytes in one line (AGENT_MAX_LINE_BYTES)"
            self._fail(AgentFailedError(f"more than {limit}"))
        return pieces

    def finish(self) -> list[str]:
        """Take the end of the body, and return the pieces that remain."""
        rest = bytes(self._buffer).removeprefix(codecs.BOM_UTF8)
        self._buffer.clear()
        if self.failed:
            return []
        try:
            return self._finish(rest)
        except AgentFailedError as error:
            self._fail(error)
            return []

    def _finish(self, rest: bytes) -> list[str]:
        if self._form is None and rest.startswith(b":") and is_only_comments(rest):
            self._begin("events")
        if self._stream is not None:
            return self._finish_stream(self._stream, rest)
        if self._form == "text":
            return self._text(self._decoder.decode(b"", final=True))
        return self._finish_document(rest.strip())

    def final_error(self) -> AgentError | None:
        """Return, after `finish`, why the response is not complete; None if it is.

        The error is an `AgentEmptyError`, an `AgentCutError` or an `AgentFailedError`.
        """
        if self._error is not None:
            return self._error
        if self._stream is not None:
            return self._stream.final_error()
        return None if self._text_pieces else AgentEmptyError(NO_TEXT)

    def _detect_form(self) -> None:
        try:
            if form := self._detector.detect(self._buffer):
                self._begin(form)
        except AgentFailedError as error:
            self._fail(error)

    def _begin(self, form: Form) -> None:
        self._form = form
        if self._on_form is not None:
            self._on_form(form)
        match form:
            case "page":
                reason = "the response is a web page: check AGENT_WEBHOOK_URL"
                self._fail(AgentFailedError(reason))
            case "n8n" | "chunks" | "events":
                self._stream = StreamParser(form, node=self._node)

    def _feed_lines(self, stream: StreamParser) -> list[str]:
        pieces: list[str] = []
        while (end := self._buffer.find(b"\n", self._searched_bytes)) >= 0 and not self.failed:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched_bytes = 0
            try:
                pieces += stream.feed(line)
            except AgentFailedError as error:
                self._fail(error)
            if stream.error is not None:
                self._fail(stream.error)
        self._searched_bytes = len(self._buffer)
        return pieces

    def _finish_stream(self, stream: StreamParser, rest: bytes) -> list[str]:
        pieces = stream.finish(rest)
        self._error = stream.error
        return pieces

    def _finish_document(self, body: bytes) -> list[str]:
        """Parse a JSON document; what was not meant as JSON is plain text."""
        value = parse(body)
        self._begin(form_of_json(value))
        if self._stream is not None:
            return self._finish_stream(self._stream, body)
        if value is None and not is_broken_json(body):
            return self._text(body.decode(errors="replace"))
        text = response_text(value)
        if value is None:
            self._fail(AgentCutError("the response is JSON that ends too early"))
        elif not text and (reason := failure_reason(value)):
            self._fail(AgentFailedError(reason[:MAX_REASON_CHARS]))
        return self._text(whole_characters(text))

    def _text(self, text: str) -> list[str]:
        if self._text_pieces == 0:
            text = text.lstrip()
        self._text_pieces += bool(text)
        return [text] if text else []

    def _fail(self, error: AgentError) -> None:
        self._error = error
        self._buffer.clear()
