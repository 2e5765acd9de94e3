"""A response in one JSON document."""

from app.agents.form_parser import FormParser
from app.agents.json_lines import ChunkLinesParser, JsonLinesParser, N8nLinesParser
from app.agents.json_response import (
    MAX_REASON_CHARS,
    TOO_MANY_VALUES,
    TextReader,
    failure_reason,
    is_broken_json,
    parse,
    whole_characters,
)
from app.agents.plain_text import TextParser
from app.agents.response_form import form_of_json
from app.errors import AgentCutError, AgentError, AgentFailedError


class DocumentParser(FormParser):
    """Keep the body until its end, and read it then.

    A document may be one object of a stream, such as a whole completion; what turns out not to be
    JSON is plain text. `node` is the n8n node that answers the user.
    """

    def __init__(self, node: str | None) -> None:
        super().__init__()
        self._node = node
        self._body = bytearray()
        self._reader: FormParser = TextParser()
        """Reads the text of the document, or its one object of a stream."""

    @property
    def progress(self) -> int:
        """Return the count of what shows progress: none before the end."""
        return self._reader.progress

    @property
    def n8n_error_reason(self) -> str | None:
        """Return the reason in n8n's `error` line, if the document is one."""
        return self._reader.n8n_error_reason

    @property
    def pending_bytes(self) -> int:
        """Return the size of the body."""
        return len(self._body)

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the body."""
        self._body += data
        return []

    def finish(self) -> list[str]:
        """Read the document, and return its text."""
        body = bytes(self._body).strip()
        self._body.clear()
        value = parse(body)
        if isinstance(value, dict) and (form := form_of_json(value)) != "document":
            return self._read_object(
                N8nLinesParser(self._node) if form == "n8n" else ChunkLinesParser(), value
            )
        if value is None and not is_broken_json(body):
            return self._read_text(body.decode(errors="replace"))
        reader = TextReader()
        text = reader.read(value)
        if value is None:
            self.error = AgentCutError("the response is JSON that ends too early")
        elif reader.is_exhausted:
            self.error = AgentCutError(TOO_MANY_VALUES)
        elif not text and (reason := failure_reason(value)):
            self.error = AgentFailedError(reason[:MAX_REASON_CHARS])
        return self._read_text(whole_characters(text))

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete; None if it is."""
        return self.error or self._reader.final_error()

    def _read_object(self, stream: JsonLinesParser, value: dict[str, object]) -> list[str]:
        self._reader = stream
        pieces = stream.feed_object(value)
        if stream.error is None:
            pieces += stream.finish()
        self.error = stream.error
        return pieces

    def _read_text(self, text: str) -> list[str]:
        return self._reader.feed(text.encode())
