"""Streams of one JSON object a line: n8n's, and OpenAI's chunks without server-sent events."""

from abc import abstractmethod

from app.agents.base import NodeText, ResponseObserver
from app.agents.form_parser import FormParser
from app.agents.json_response import parse
from app.agents.line_reader import LineReader
from app.agents.n8n_stream import N8nStreamParser
from app.agents.openai_stream import DONE, NO_END, OpenAIStreamParser
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.errors import AgentCutError, AgentError, AgentFailedError

_DONE_LINE = DONE.encode()


class JsonLinesParser(FormParser):
    """Hand the object of each line to `feed_object`."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = LineReader()

    @property
    def pending_bytes(self) -> int:
        """Return the size of the incomplete line."""
        return self._lines.pending_bytes

    @abstractmethod
    def feed_object(self, value: dict[str, object]) -> list[str]:
        """Take the object of a line, and return the pieces that it adds."""

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the body, and return the pieces of the lines that it completes."""
        pieces: list[str] = []
        for line in self._lines.feed(data):
            try:
                pieces += self._on_line(line.strip())
            except AgentFailedError as error:
                self.error = error  # what came before it remains
            if self.error is not None:
                break
        return pieces

    def finish(self) -> list[str]:
        """Read the last line, which no line break ends; the body may have been cut within it."""
        line = self._lines.finish().strip()
        if line and line != _DONE_LINE and parse(line) is None:
            self.error = AgentCutError("stream ended within a line")
            return []
        return self._on_line(line)

    def _on_line(self, line: bytes) -> list[str]:
        if not line or self.done:
            return []
        value = parse(line)
        if isinstance(value, dict):
            return self.feed_object(value)
        return self._on_other_line(line)

    def _on_other_line(self, line: bytes) -> list[str]:
        self.error = AgentFailedError("a line of the stream is not a JSON object")
        return []


class N8nLinesParser(JsonLinesParser):
    """Read n8n's stream."""

    def __init__(
        self, options: ParserOptions = DEFAULT_OPTIONS, observer: ResponseObserver | None = None
    ) -> None:
        super().__init__()
        self._n8n = N8nStreamParser(options, observer)

    @property
    def pending_bytes(self) -> int:
        """Return the size of the incomplete line, and of what is held back."""
        return self._lines.pending_bytes + self._n8n.held_chars

    @property
    def progress(self) -> int:
        """Return the count of lines that show progress."""
        return self._n8n.progress

    @property
    def awaiting_end(self) -> bool:
        """Return whether an error was the last line."""
        return self._n8n.error_is_latest

    @property
    def n8n_error_reason(self) -> str | None:
        """Return the reason in the last `error` line."""
        return self._n8n.error_reason

    @property
    def node_texts(self) -> list[NodeText]:
        """Return what each node sent."""
        return self._n8n.node_texts

    def feed_object(self, value: dict[str, object]) -> list[str]:
        """Take the object of a line, and return its text."""
        text = self._n8n.feed(value)
        return [text] if text else []

    def finish(self) -> list[str]:
        """Read the last line; return its text, and what was held back."""
        pieces = super().finish()
        return pieces if self.error else pieces + as_pieces(self._n8n.finish())

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete; None if it is."""
        if not self._n8n.is_used:
            return AgentCutError(NO_END)
        return self._n8n.final_error()


class ChunkLinesParser(JsonLinesParser):
    """Read OpenAI's chunks, which `[DONE]` may end."""

    def __init__(
        self, options: ParserOptions = DEFAULT_OPTIONS, observer: ResponseObserver | None = None
    ) -> None:
        super().__init__()
        self._openai = OpenAIStreamParser(options, observer)

    @property
    def pending_bytes(self) -> int:
        """Return the size of the incomplete line, and of what is held back."""
        return self._lines.pending_bytes + self._openai.held_chars

    @property
    def progress(self) -> int:
        """Return the count of chunks that show progress."""
        return self._openai.progress

    @property
    def awaiting_end(self) -> bool:
        """Return whether the model gave a finish reason, or the end was announced."""
        return self._openai.finished or self._openai.done

    @property
    def done(self) -> bool:
        """Return whether the end was announced; nothing after it is read."""
        return self._openai.done

    def feed_object(self, value: dict[str, object]) -> list[str]:
        """Take a chunk, and return its text."""
        text = self._openai.feed(value)
        self.error = self._openai.failure()
        return as_pieces(text)

    def finish(self) -> list[str]:
        """Read the last line; return its text, and what was held back."""
        pieces = super().finish()
        return pieces if self.error else pieces + as_pieces(self._openai.finish())

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete; None if it is."""
        return self._openai.final_error()

    def _on_other_line(self, line: bytes) -> list[str]:
        if line == _DONE_LINE:
            return as_pieces(self._openai.end())
        return super()._on_other_line(line)


def as_pieces(text: str) -> list[str]:
    """Return a text as a list of pieces, none of which is empty."""
    return [text] if text else []
