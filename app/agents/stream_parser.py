"""A response streamed in lines or events: n8n's, OpenAI's, or those of servers alike."""

import json
from contextlib import suppress

from app.agents.json_response import is_broken_json, may_be_json, parse
from app.agents.n8n_stream import N8nStreamParser, is_n8n_line
from app.agents.openai_stream import DONE, OpenAIStreamParser, is_end_event
from app.agents.response_form import StreamForm
from app.agents.sse import Event, EventReader
from app.errors import AgentCutError, AgentError, AgentFailedError

_KEEPALIVE_EVENTS = ("ping", "keepalive", "keep-alive", "heartbeat")


class StreamParser:
    """Hand each object of a stream to the parser that knows it.

    An event may hold what a line of n8n's stream or an OpenAI chunk holds, or plain text. Texts
    are never empty.
    """

    def __init__(self, form: StreamForm, *, node: str | None) -> None:
        self.error: AgentError | None = None
        """Why the stream cannot be read on."""
        self._form = form
        self._n8n = N8nStreamParser(node)
        self._openai = OpenAIStreamParser()
        self._events = EventReader()

    @property
    def progress(self) -> int:
        """Return the count of what shows progress: not keep-alives, not empty texts."""
        return self._n8n.progress + self._openai.progress

    @property
    def awaiting_end(self) -> bool:
        """Return whether only the end of the body should follow."""
        return self._n8n.error_is_latest or self._openai.finished or self._openai.done

    @property
    def done(self) -> bool:
        """Return whether the end was announced; nothing after it is read."""
        return self._openai.done

    @property
    def n8n_error_reason(self) -> str | None:
        """Return what n8n's last `error` line said, whether or not the response failed."""
        return self._n8n.error_reason

    @property
    def pending_bytes(self) -> int:
        """Return the size of the incomplete event."""
        return self._events.pending_bytes

    def feed(self, line: bytes) -> list[str]:
        """Take one line without its line break, and return the texts that it adds."""
        if self._form != "events":
            return self._on_line(line.strip())
        event = self._events.feed(line.removesuffix(b"\r"))
        return [] if event is None else self._on_event(event)

    def finish(self, rest: bytes) -> list[str]:
        """Take what follows the last line break of the body, and return the texts that remain."""
        texts = self._finish_events(rest) if self._form == "events" else self._finish_lines(rest)
        return texts if self.error else [*texts, *_as_list(self._n8n.finish())]

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete at the end of the body; None if it is."""
        if not (self._n8n.progress or self._n8n.error_reason):
            return self._openai.final_error()
        error = self._n8n.final_error()
        return None if isinstance(error, AgentCutError) and self.done else error

    def _on_line(self, line: bytes) -> list[str]:
        if not line or self.done:
            return []
        value = parse(line)
        if isinstance(value, dict):
            return self._on_object(value)
        if self._form == "chunks" and line == DONE.encode():
            self._openai.end()
        else:
            self.error = AgentFailedError("a line of the stream is not a JSON object")
        return []

    def _finish_lines(self, rest: bytes) -> list[str]:
        line = rest.strip()
        if line and line != DONE.encode() and parse(line) is None:
            self.error = AgentCutError("stream ended within a line")
            return []
        return self._on_line(line)

    def _on_event(self, event: Event) -> list[str]:
        """Read one event: an object, `[DONE]`, plain text, or an announcement in its name."""
        if self.done or event.name in _KEEPALIVE_EVENTS:
            return []
        if event.data == DONE:
            self._openai.end()
            return []
        value = parse(event.data)
        if event.name == "error" or is_end_event(event.name):
            return self._on_named_event(event, value)
        if isinstance(value, dict):
            return self._on_object(value)
        if value is None and is_broken_json(event.data.encode()):
            self.error = AgentFailedError("the data of an event is broken JSON")
            return []
        return _as_list(self._openai.feed_text(_unquoted(event.data)))

    def _on_named_event(self, event: Event, value: object) -> list[str]:
        """Read an event whose name says what it is: an error, or the end."""
        fields = value if isinstance(value, dict) else {"message": event.data}
        if self._is_of_n8n(fields):
            return self._on_object(fields)
        kind = "error" if event.name == "error" else "end"
        return self._on_chunk({**fields, "type": kind})

    def _finish_events(self, rest: bytes) -> list[str]:
        """Read an event that no empty line ends; the body may have been cut within it."""
        event = self._events.feed(rest.removesuffix(b"\r")) or self._events.finish()
        if event is None:
            return []
        if not self.done and event.data and _is_cut(event.data):
            self.error = AgentCutError("stream ended within an event")
            return []
        return self._on_event(event)

    def _on_object(self, value: dict[str, object]) -> list[str]:
        """Read one object of a stream, from a line or from an event."""
        if self._form == "n8n" or (self._form == "events" and self._is_of_n8n(value)):
            return _as_list(self._n8n.feed(value))
        return self._on_chunk(value)

    def _on_chunk(self, value: dict[str, object]) -> list[str]:
        text = self._openai.feed(value)
        if self._openai.error_reason is not None:
            self.error = AgentFailedError(self._openai.error_reason)
        return _as_list(text)

    def _is_of_n8n(self, value: dict[str, object]) -> bool:
        """Return whether an object is n8n's; objects of others may be `end` or `error`, too."""
        return is_n8n_line(value) and (
            isinstance(value.get("metadata"), dict)
            or value["type"] in ("begin", "item", "keepalive")
            or self._n8n.progress > 0
        )


def _as_list(text: str) -> list[str]:
    return [text] if text else []


def _unquoted(data: str) -> str:
    """Return plain text, without the JSON string that it may be wrapped in."""
    if data.startswith('"') and data.endswith('"'):
        with suppress(ValueError):
            return str(json.loads(data))
    return data


def _is_cut(data: str) -> bool:
    """Return whether the last data of a body is the beginning of more."""
    cut_object = parse(data) is None and may_be_json(data.encode())
    return cut_object or (data != DONE and DONE.startswith(data))
