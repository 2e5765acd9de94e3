"""A response in one JSON document."""

import json
from contextlib import suppress

from app.agents.base import NodeText, ResponseObserver
from app.agents.form_parser import FormParser
from app.agents.json_lines import ChunkLinesParser, JsonLinesParser, N8nLinesParser
from app.agents.json_response import (
    failure_reason,
    is_broken_json,
    is_started_message,
    parse,
    shortened_reason,
    whole_characters,
)
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.plain_text import TextParser
from app.agents.response_data import is_data, payload_of
from app.agents.response_form import form_of_json
from app.agents.segment_reader import NOT_AN_ANSWER
from app.agents.text_reader import TOO_MANY_VALUES, TextReader
from app.errors import (
    AgentCutError,
    AgentEmptyError,
    AgentError,
    AgentFailedError,
    AgentUnreachableError,
)

_STARTED = (
    "the workflow was only started: in n8n's Webhook node set Respond to Streaming, or to the last "
    "node"
)


class DocumentParser(FormParser):
    """Keep the body until its end, and read it then.

    A document may be one object of a stream, such as a whole completion, or one JSON string; what
    turns out not to be JSON is plain text.
    """

    def __init__(
        self, options: ParserOptions = DEFAULT_OPTIONS, observer: ResponseObserver | None = None
    ) -> None:
        super().__init__()
        self._options = options
        self._observer = observer or ResponseObserver()
        self._body = bytearray()
        self._reader: FormParser = TextParser(options.answer_path)
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
    def node_texts(self) -> list[NodeText]:
        """Return what the node sent, if the document is a line of n8n."""
        return self._reader.node_texts

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
            stream = N8nLinesParser if form == "n8n" else ChunkLinesParser
            return self._read_object(stream(self._options, self._observer), value)
        if value is None and not is_broken_json(body):
            return self._read_text(_unquoted(body))
        self._send_data(value)
        reader = TextReader(self._options.answer_path)
        text = reader.read(value)
        if value is None:
            self.error = AgentCutError("the response is JSON that ends too early")
        elif reader.is_exhausted:
            self.error = AgentCutError(TOO_MANY_VALUES)
        elif not text:
            self.error = _why_empty(value)
        return self._read_text(whole_characters(text))

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete; None if it is."""
        return self.error or self._reader.final_error()

    def _send_data(self, value: object) -> None:
        """Pass on data among the items of a document."""
        for item in value if isinstance(value, list) else ():
            if is_data(item):
                self._observer.on_data(payload_of(item), "")

    def _read_object(self, stream: JsonLinesParser, value: dict[str, object]) -> list[str]:
        self._reader = stream
        pieces = stream.feed_object(value)
        if stream.error is None:
            pieces += stream.finish()
        self.error = stream.error
        return pieces

    def _read_text(self, text: str) -> list[str]:
        return self._reader.feed(text.encode()) + self._reader.finish()


def _unquoted(body: bytes) -> str:
    """Return the text of a body, without the JSON string that it may be wrapped in."""
    text = body.decode(errors="replace")
    if text.startswith('"') and text.endswith('"'):
        with suppress(ValueError):
            return whole_characters(str(json.loads(text)))
    return text


def _why_empty(value: object) -> AgentError:
    if is_started_message(value):
        return AgentUnreachableError(_STARTED)
    if reason := failure_reason(value):
        return AgentFailedError(shortened_reason(reason))
    return AgentEmptyError(NOT_AN_ANSWER)
