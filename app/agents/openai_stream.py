"""A streamed response that names no node: OpenAI's chunks, objects with a text, plain text."""

from app.agents.base import ResponseObserver
from app.agents.json_response import NO_TEXT, failure_reason, shortened_reason
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.response_data import is_data, payload_of
from app.agents.segment_reader import NOT_AN_ANSWER, SegmentReader
from app.agents.text_assembler import TextAssembler
from app.agents.text_reader import TextReader, value_at
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError

DONE = "[DONE]"
"""What ends a stream of OpenAI's chunks."""
NO_END = "stream ended without [DONE] or finish_reason"

_TEXT_KEYS = ("output", "content", "text", "token", "response", "answer", "delta")
_END_TYPES = ("end", "done", "complete", "close")
# Finish reasons after which the model goes on, as an agent that calls tools by itself lets it.
_TOOL_REASONS = ("tool_calls", "function_call")
_TRUNCATION_REASONS = ("length", "content_filter")


def is_chunk(value: object) -> bool:
    """Return whether `value` is of OpenAI's chat completions, a chunk or a whole one."""
    return isinstance(value, dict) and isinstance(value.get("choices"), list)


def is_end_event(name: object) -> bool:
    """Return whether an event's name, or an object's type, marks the end of the response."""
    return isinstance(name, str) and name in _END_TYPES


class OpenAIStreamParser:
    """Assemble a response, and decide at the end whether it is complete.

    It is complete if it says so: by `[DONE]`, by an end event, or by a `finish_reason`.
    """

    def __init__(
        self, options: ParserOptions = DEFAULT_OPTIONS, observer: ResponseObserver | None = None
    ) -> None:
        self.progress = 0
        """Count of objects that show progress: neither empty texts nor roles."""
        self.done = False
        """Whether the end was announced; nothing after it is read."""
        self.finished = False
        """Whether the model gave a finish reason; the announcement of the end should follow."""
        self._error_reason: str | None = None
        """Why the agent failed, in its own words."""
        self._truncation_reason: str | None = None
        self._path = options.answer_path
        self._observer = observer or ResponseObserver()
        self._reader = SegmentReader(self._path)
        self._problem: str | None = None
        """What was wrong with JSON that was streamed."""
        self._text = TextAssembler()

    @property
    def held_chars(self) -> int:
        """Return the size of the text that is held back."""
        return self._reader.held_chars

    def feed(self, value: dict[str, object]) -> str:
        """Take one object, and return the text that it adds; an unknown object adds none."""
        if self.done:
            return ""
        if (reason := _failure(value)) is not None:
            self._error_reason = shortened_reason(reason)
            return ""
        if is_chunk(value):
            return self._on_choices(value["choices"])
        if is_data(value):
            self.send_data(payload_of(value))
            return ""
        content = self._content(value)
        if is_end_event(value.get("type")) or value.get("done") is True:
            # Such an object may repeat the whole response.
            text = self._end_segment()
            text += "" if self._text.has_text else self.feed_text(content)
            return text + self.end()
        return self.feed_text(content)

    def feed_text(self, text: str) -> str:
        """Take a piece of the response, and return what of it can be passed on now."""
        if self.done or not text:
            return ""
        self.progress += 1
        self.finished = False
        return self._text.add(self._reader.feed(text))

    def send_data(self, data: object) -> None:
        """Pass on data for the client."""
        self.progress += 1
        self._observer.on_data(data, "")

    def finish(self) -> str:
        """Take the end of the body; return what was held back."""
        return self._end_segment()

    def end(self) -> str:
        """Take `[DONE]`, or what means the same; return what was held back."""
        self.progress += 1
        self.done = True
        return self._end_segment()

    def failure(self) -> AgentFailedError | None:
        """Return the error that the agent reported, after which nothing is read; None if none."""
        return AgentFailedError(self._error_reason) if self._error_reason is not None else None

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete at the end of the body; None if it is."""
        if self._truncation_reason is not None:
            return AgentCutError(f"model stopped early: finish_reason {self._truncation_reason!r}")
        if self._problem not in (None, NOT_AN_ANSWER):
            return AgentCutError(self._problem)
        if not (self.done or self.finished):
            return AgentCutError(NO_END)
        return None if self._text.has_text else AgentEmptyError(self._problem or NO_TEXT)

    def _content(self, value: dict[str, object]) -> str:
        """Return the text of an object, by the options or under a usual key."""
        if isinstance(text := value_at(value, self._path), str) and text:
            return text
        return next((v for k in _TEXT_KEYS if isinstance(v := value.get(k), str) and v), "")

    def _end_segment(self) -> str:
        """Return what was held back at the end of what the model wrote in one go."""
        reader, self._reader = self._reader, SegmentReader(self._path)
        text = self._text.add(reader.finish())
        self._problem = reader.problem or self._problem
        if is_data(value := reader.value):
            assert isinstance(value, dict)
            self.send_data(payload_of(value))
        return text

    def _on_choices(self, choices: object) -> str:
        """Take the first choice of a chunk.

        A chunk without choices reports usage. A choice with a `message` is a whole completion; one
        with a `text` is of the older completions API.
        """
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index") not in (None, 0):
            return ""
        is_whole = isinstance(choice.get("message"), dict)
        delta = choice.get("message") if is_whole else choice.get("delta")
        if not isinstance(delta, dict):
            delta = {"content": choice.get("text")}
        content = delta.get("content")
        if isinstance(content, list):
            content = TextReader().read(content)
        text = self.feed_text(content) if isinstance(content, str) else ""
        if not content and any(delta[key] for key in delta if key != "role"):
            self.progress += 1  # reasoning, or a tool call
        reason = choice.get("finish_reason") or ("stop" if is_whole else None)
        return text + self._on_finish_reason(reason) if isinstance(reason, str) else text

    def _on_finish_reason(self, reason: str) -> str:
        """Take the end of what the model wrote in one go; return what was held back."""
        self.progress += 1
        text = self._end_segment()
        if reason in _TOOL_REASONS:
            self._text.start_segment()
            return text
        self.finished = True
        self._truncation_reason = reason if reason in _TRUNCATION_REASONS else None
        return text


def _failure(value: dict[str, object]) -> str | None:
    if value.get("type") != "error":
        return failure_reason(value)
    reasons = (
        failure_reason(value), value.get("message"), value.get("content"), value.get("text"),
    )  # fmt: skip
    return next((reason for reason in reasons if isinstance(reason, str)), "")
