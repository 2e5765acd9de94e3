"""What an answer's body says, read as it arrives, in whichever of the usual forms it comes."""

import codecs
import json
from contextlib import suppress
from typing import Literal

from app.agents import sse
from app.agents.json_response import (
    answer_in,
    failure_in,
    is_meant_as_json,
    may_be_json,
    may_be_page,
    parse,
    whole_characters,
)
from app.agents.n8n_stream import N8nStreamParser, is_stream_line
from app.agents.openai_stream import OpenAIStreamParser, is_chunk, is_end_event
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError

_KEEPALIVES = ("ping", "keepalive", "keep-alive", "heartbeat")
_DONE = "[DONE]"  # how OpenAI ends a stream
_MAX_LINE_BYTES = 1 << 20  # some 20 minutes of speech: far beyond an answer, small in memory

_START_BYTES = 64  # after so many of a body only the end of a line can tell more of its form

_Form = Literal["unknown", "lines", "chunks", "events", "document", "text"]


class ResponseParser:
    """Turn the bytes of a body, cut anywhere, into pieces of text to be spoken.

    The form is told by content, for n8n calls all of its own `application/json`. A field of
    server-sent events opens a stream of them, each holding what any line may hold, or plain text.
    A first line of n8n's stream, or an OpenAI chunk, opens a stream of such lines. All else that
    looks like JSON is kept until the end, and is spoken as text if it turns out to be none. The
    rest is plain text, which streams on as it comes. At most `max_line_bytes` are kept.

    Feed it until the body ends or it is `broken`, then take the rest with `finish`, and then ask
    for the `verdict`. Pieces are never empty; what was returned stays said, whatever the verdict.
    """

    def __init__(self, *, node: str | None = None, max_line_bytes: int = _MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._form: _Form = "unknown"
        self._held = bytearray()
        self._searched_bytes = 0
        self._nodes = N8nStreamParser(node)
        self._chunks = OpenAIStreamParser()
        self._events = sse.EventReader()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text_pieces = 0
        self._fault: AgentError | None = None

    @property
    def progress(self) -> int:
        """Count the signs of work so far; `keepalive` and empty items are none."""
        return self._nodes.progress + self._chunks.progress + self._text_pieces

    @property
    def error_seen(self) -> str | None:
        """Give the reason in the last `error` line, whether or not it spoils the answer."""
        return self._nodes.error

    @property
    def ending(self) -> bool:
        """Tell whether only the end of the body should follow: after an error, or the last word."""
        return self._nodes.failing or self._chunks.finished or self.done

    @property
    def done(self) -> bool:
        """Tell whether the end was announced; what follows changes nothing."""
        return self._chunks.done

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
            case "lines" | "chunks" | "events":
                pieces = self._lines()
            case _:
                pieces = []
        if len(self._held) + self._events.held_bytes > self._max_line_bytes:
            self._break(AgentFailedError(f"more than {self._max_line_bytes} bytes in one line"))
        return pieces

    def finish(self) -> list[str]:
        """Take note that the body has ended, and return the rest."""
        held = bytes(self._held).removeprefix(codecs.BOM_UTF8)
        self._held.clear()
        if self._fault is not None:
            return []
        if self._form == "unknown" and held.startswith(b":") and sse.is_comments(held):
            self._form = "events"
        match self._form:
            case "text":
                return self._text(self._decoder.decode(b"", final=True))
            case "lines" | "chunks":
                return self._last_line(held.strip())
            case "events":
                return self._last_event(held)
            case _:
                return self._document(held.strip())

    def verdict(self) -> AgentError | None:
        """Say, after `finish`, why the answer is not whole; None when it is.

        An `AgentEmptyError`, an `AgentCutError` or an `AgentFailedError`.
        """
        if self._fault is not None:
            return self._fault
        if self._form in ("lines", "chunks", "events"):
            return self._verdict_of_stream()
        return None if self._text_pieces else AgentEmptyError("the answer holds no text")

    def _verdict_of_stream(self) -> AgentError | None:
        if not (self._nodes.progress or self._nodes.error):
            return self._chunks.verdict()
        fault = self._nodes.verdict()
        return None if isinstance(fault, AgentCutError) and self._chunks.done else fault

    def _look_at_start(self) -> None:
        if codecs.BOM_UTF8.startswith(self._held):
            return
        if not self._searched_bytes:
            self._held = self._held.removeprefix(codecs.BOM_UTF8).lstrip()
        line_end = self._held.find(b"\n", self._searched_bytes)
        if line_end >= 0 or self._searched_bytes < _START_BYTES:
            self._form = self._form_of_start(self._held)
        self._searched_bytes = len(self._held) if self._form == "unknown" else 0

    def _form_of_start(self, start: bytearray) -> _Form:
        if may_be_json(start):
            line, line_end, _ = start.partition(b"\n")
            return _form_of(parse(line)) if line_end else "unknown"
        if (page := may_be_page(start)) is not False:
            if page:
                self._break(AgentFailedError("a web page, no answer: is the address the agent's?"))
            return "unknown"
        if not start or (are_events := sse.may_begin(start)) is None:
            return "unknown"
        return "events" if are_events else "text"

    def _lines(self) -> list[str]:
        pieces: list[str] = []
        while (end := self._held.find(b"\n", self._searched_bytes)) >= 0 and not self.broken:
            line = bytes(self._held[:end])
            del self._held[: end + 1]
            self._searched_bytes = 0
            if self._form != "events":
                pieces += self._line(line.strip())
            elif (event := self._events.feed(line.removesuffix(b"\r"))) is not None:
                pieces += self._event(event)
        self._searched_bytes = len(self._held)
        return pieces

    def _line(self, line: bytes) -> list[str]:
        if not line or self.done:
            return []
        value = parse(line)
        if isinstance(value, dict):
            return self._object(value)
        if self._form == "chunks" and line == _DONE.encode():
            self._chunks.end()
        else:
            self._break(AgentFailedError("a line of the stream is no JSON object"))
        return []

    def _last_line(self, line: bytes) -> list[str]:
        if line and line != _DONE.encode() and parse(line) is None:
            self._break(AgentCutError("the stream ended within a line"))
            return []
        return self._with_rest(self._line(line))

    def _event(self, event: sse.Event) -> list[str]:
        if self.done or event.name in _KEEPALIVES:
            return []
        if event.data == _DONE:
            self._chunks.end()
            return []
        value = parse(event.data)
        if event.name == "error" or is_end_event(event.name):
            return self._last_word(event, value)
        if isinstance(value, dict):
            return self._object(value)
        if value is None and is_meant_as_json(event.data.encode()):
            self._break(AgentFailedError("the data of an event is broken JSON"))
            return []
        return _listed(self._chunks.text(_unquoted(event.data)))

    def _last_word(self, event: sse.Event, value: object) -> list[str]:
        """Read an event whose name says more than its data."""
        fields = value if isinstance(value, dict) else {"message": event.data}
        if self._is_of_node(fields):
            return self._object(fields)
        kind = "error" if event.name == "error" else "end"
        return self._chunk({**fields, "type": kind})

    def _last_event(self, line: bytes) -> list[str]:
        """Read an event that no empty line ends; it may be the beginning of one."""
        event = self._events.feed(line.removesuffix(b"\r")) or self._events.finish()
        if event is None:
            return self._with_rest([])
        if not self.done and event.data and _breaks_off(event.data):
            self._break(AgentCutError("the stream ended within an event"))
            return []
        return self._with_rest(self._event(event))

    def _object(self, value: dict[str, object]) -> list[str]:
        """Read one object of a stream, whichever way it came."""
        if self._form == "lines" or (self._form == "events" and self._is_of_node(value)):
            return _listed(self._nodes.feed(value))
        return self._chunk(value)

    def _chunk(self, value: dict[str, object]) -> list[str]:
        piece = self._chunks.feed(value)
        if self._chunks.error is not None:
            self._break(AgentFailedError(self._chunks.error))
        return _listed(piece)

    def _is_of_node(self, value: dict[str, object]) -> bool:
        """Tell n8n's lines from those of others who call the end `end` and an error `error`."""
        return is_stream_line(value) and (
            isinstance(value.get("metadata"), dict)
            or value["type"] in ("begin", "item", "keepalive")
            or self._nodes.progress > 0
        )

    def _with_rest(self, pieces: list[str]) -> list[str]:
        return pieces if self.broken else [*pieces, *_listed(self._nodes.finish())]

    def _document(self, body: bytes) -> list[str]:
        value = parse(body)
        if (form := _form_of(value)) != "document":
            self._form = form
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


def _form_of(value: object) -> _Form:
    """Tell what a first line of JSON opens."""
    if is_stream_line(value):
        return "lines"
    return "chunks" if is_chunk(value) else "document"


def _listed(piece: str) -> list[str]:
    return [piece] if piece else []


def _unquoted(data: str) -> str:
    """Take plain text out of the JSON string that it may be wrapped in."""
    if data.startswith('"') and data.endswith('"'):
        with suppress(ValueError):
            return str(json.loads(data))
    return data


def _breaks_off(data: str) -> bool:
    """Tell whether the last data of a body is the beginning of more."""
    cut_object = parse(data) is None and may_be_json(data.encode())
    return cut_object or (data != _DONE and _DONE.startswith(data))
