"""A response in server-sent events: n8n's lines, OpenAI's chunks, other objects or plain text."""

import json
from contextlib import suppress

from app.agents.base import NodeText, ResponseObserver
from app.agents.form_parser import FormParser
from app.agents.json_lines import as_pieces
from app.agents.json_response import is_broken_json, may_be_json, parse
from app.agents.line_reader import LineReader
from app.agents.n8n_stream import N8nStreamParser, is_n8n_line
from app.agents.openai_stream import DONE, OpenAIStreamParser, is_end_event
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.response_data import decoded, is_data, payload_of
from app.agents.sse import Event, EventReader
from app.errors import AgentCutError, AgentError, AgentFailedError

_KEEPALIVE_EVENTS = ("ping", "keepalive", "keep-alive", "heartbeat")


class EventStreamParser(FormParser):
    """Hand each event to the parser of what it holds; its name may be an announcement by itself."""

    def __init__(
        self, options: ParserOptions = DEFAULT_OPTIONS, observer: ResponseObserver | None = None
    ) -> None:
        super().__init__()
        self._lines = LineReader()
        self._events = EventReader()
        self._n8n = N8nStreamParser(options, observer)
        self._openai = OpenAIStreamParser(options, observer)

    @property
    def progress(self) -> int:
        """Return the count of events that show progress."""
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
        """Return the reason in n8n's last `error` line, whether or not the response failed."""
        return self._n8n.error_reason

    @property
    def node_texts(self) -> list[NodeText]:
        """Return what each node of n8n sent."""
        return self._n8n.node_texts

    @property
    def pending_bytes(self) -> int:
        """Return the size of the incomplete event, and of what is held back."""
        unread = self._lines.pending_bytes + self._events.pending_bytes
        return unread + self._n8n.held_chars + self._openai.held_chars

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the body, and return the texts of the events that it completes."""
        pieces: list[str] = []
        for line in self._lines.feed(data):
            event = self._events.feed(line.removesuffix(b"\r"))
            try:
                pieces += [] if event is None else self._on_event(event)
            except AgentFailedError as error:
                self.error = error  # what came before it remains
            if self.error is not None:
                break
        return pieces

    def finish(self) -> list[str]:
        """Read an event that no empty line ends; the body may have been cut within it."""
        rest = self._lines.finish().removesuffix(b"\r")
        event = self._events.feed(rest) or self._events.finish()
        pieces: list[str] = []
        if event is not None:
            if not self.done and event.data and _is_cut(event.data):
                self.error = AgentCutError("stream ended within an event")
                return []
            pieces = self._on_event(event)
        if self.error:
            return pieces
        return pieces + as_pieces(self._n8n.finish()) + as_pieces(self._openai.finish())

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete; None if it is."""
        if not self._n8n.is_used:
            return self._openai.final_error()
        error = self._n8n.final_error()
        return None if isinstance(error, AgentCutError) and self.done else error

    def _on_event(self, event: Event) -> list[str]:
        """Read one event: an object, `[DONE]`, plain text, or an announcement in its name."""
        if self.done or event.name in _KEEPALIVE_EVENTS:
            return []
        if event.data == DONE:
            return as_pieces(self._openai.end())
        value = parse(event.data)
        if event.name == "data":
            self._on_data(event, value)
            return []
        if event.name == "error" or is_end_event(event.name):
            return self._on_named_event(event, value)
        if isinstance(value, dict):
            return self._on_object(value)
        if value is None and is_broken_json(event.data.encode()):
            self.error = AgentFailedError("the data of an event is broken JSON")
            return []
        return as_pieces(self._openai.feed_text(_unquoted(event.data)))

    def _on_named_event(self, event: Event, value: object) -> list[str]:
        """Read an event whose name says what it is: an error, or the end."""
        fields = value if isinstance(value, dict) else {"message": event.data}
        if self._is_of_n8n(fields):
            return self._on_object(fields)
        kind = "error" if event.name == "error" else "end"
        return self._on_chunk({**fields, "type": kind})

    def _on_data(self, event: Event, value: object) -> None:
        """Read an event that is data by its name."""
        if isinstance(value, dict) and is_data(value):
            value = payload_of(value)
        self._openai.send_data(decoded(event.data) if value is None else value)

    def _on_object(self, value: dict[str, object]) -> list[str]:
        if self._is_of_n8n(value):
            return as_pieces(self._n8n.feed(value))
        return self._on_chunk(value)

    def _on_chunk(self, value: dict[str, object]) -> list[str]:
        text = self._openai.feed(value)
        self.error = self._openai.failure()
        return as_pieces(text)

    def _is_of_n8n(self, value: dict[str, object]) -> bool:
        """Return whether an object is n8n's; objects of others may be `end` or `error`, too."""
        return is_n8n_line(value) and (
            isinstance(value.get("metadata"), dict)
            or value["type"] in ("begin", "item", "keepalive")
            or self._n8n.progress > 0
        )


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
