"""The text of an agent's response, parsed while the body arrives in any of the usual forms."""

from app.agents.base import NodeText, ResponseObserver
from app.agents.event_stream import EventStreamParser
from app.agents.form_parser import FormParser
from app.agents.json_document import DocumentParser
from app.agents.json_lines import ChunkLinesParser, N8nLinesParser
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.plain_text import TextParser
from app.agents.response_form import Form, FormDetector
from app.errors import AgentError, AgentFailedError


class ResponseParser:
    """Turn the bytes of a body, cut anywhere, into pieces of text to be spoken.

    The form of the body is detected first; the parser of that form reads it. `observer` is told
    the form, and what is data.

    Feed it until the body ends or `failed` is true, then call `finish`, then `final_error`. Pieces
    are never empty, and remain valid whatever the final error.
    """

    def __init__(
        self, options: ParserOptions = DEFAULT_OPTIONS, observer: ResponseObserver | None = None
    ) -> None:
        self._options = options
        self._observer = observer or ResponseObserver()
        self._detector: FormDetector | None = FormDetector()
        """None once the form is known."""
        self._parser: FormParser = DocumentParser(options, self._observer)
        """The parser of the form; until that is known, of a document that has not begun."""
        self._error: AgentError | None = None
        """Why the body cannot be read, whatever its parser says."""

    @property
    def progress(self) -> int:
        """Return the count of what shows progress: not keep-alives, not empty texts."""
        return self._parser.progress

    @property
    def n8n_error_reason(self) -> str | None:
        """Return the reason in n8n's last `error` line, whether or not the response failed."""
        return self._parser.n8n_error_reason

    @property
    def node_texts(self) -> list[NodeText]:
        """Return what each node of a workflow sent; complete after `finish`."""
        return self._parser.node_texts

    @property
    def chooses_nodes(self) -> bool:
        """Return whether the options name the nodes that are spoken."""
        return bool(self._options.nodes)

    @property
    def awaiting_end(self) -> bool:
        """Return whether only the end of the body should follow: after an error, or the end."""
        return self._parser.awaiting_end

    @property
    def done(self) -> bool:
        """Return whether the end of the response was announced; nothing after it is read."""
        return self._parser.done

    @property
    def failed(self) -> bool:
        """Return whether the body cannot be read on; nothing after that is read."""
        return self._error is not None or self._parser.error is not None

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the body, and return the pieces that are known by now."""
        if self.failed:
            return []
        try:
            return self._read(data) if self._detector is None else self._detect(data)
        except AgentFailedError as error:
            self._error = error
            return []

    def finish(self) -> list[str]:
        """Take the end of the body, and return the pieces that remain."""
        if self.failed:
            return []
        try:
            return self._finish()
        except AgentFailedError as error:
            self._error = error
            return []

    def final_error(self) -> AgentError | None:
        """Return, after `finish`, why the response is not complete; None if it is.

        The error is an `AgentEmptyError`, an `AgentCutError` or an `AgentFailedError`.
        """
        return self._error or self._parser.error or self._parser.final_error()

    def _detect(self, data: bytes) -> list[str]:
        assert self._detector is not None
        form = self._detector.feed(data)
        if form is None:
            self._check_pending(len(self._detector.start))
            return []
        return self._begin(form, bytes(self._detector.start))

    def _finish(self) -> list[str]:
        pieces: list[str] = []
        if self._detector is not None:
            pieces = self._begin(self._detector.finish(), bytes(self._detector.start))
        return pieces + self._parser.finish()

    def _begin(self, form: Form, start: bytes) -> list[str]:
        """Give the body, as far as it has come, to the parser of its form."""
        self._detector = None
        self._observer.on_form(form)
        options, observer = self._options, self._observer
        match form:
            case "page":
                reason = "the response is a web page: check AGENT_WEBHOOK_URL"
                self._error = AgentFailedError(reason)
                return []
            case "n8n":
                self._parser = N8nLinesParser(options, observer)
            case "chunks":
                self._parser = ChunkLinesParser(options, observer)
            case "events":
                self._parser = EventStreamParser(options, observer)
            case "text":
                self._parser = TextParser(options.answer_path)
            case "document":
                self._parser = DocumentParser(options, observer)
        return self._read(start)

    def _read(self, data: bytes) -> list[str]:
        pieces = self._parser.feed(data)
        if self._parser.error is None:
            self._check_pending(self._parser.pending_bytes)
        return pieces

    def _check_pending(self, pending_bytes: int) -> None:
        if pending_bytes > self._options.max_line_bytes:
            limit = f"{self._options.max_line_bytes} bytes in one line (AGENT_MAX_LINE_BYTES)"
            self._error = AgentFailedError(f"more than {limit}")
