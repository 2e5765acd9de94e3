"""Answers in pieces that name no node: OpenAI's chunks, objects with a text, plain text."""

from app.agents.json_response import failure_in, whole_characters
from app.agents.text_assembler import TextAssembler
from app.errors import AgentCutError, AgentEmptyError, AgentError

_MAX_REASON_CHARS = 200  # of the agent's own words in an error's text
_TEXT_KEYS = ("output", "content", "text", "token", "response", "answer", "delta")
_ENDS = ("end", "done", "complete", "close")
# After them the model goes on, as an agent that calls tools on its own side lets it.
_PAUSES = ("tool_calls", "function_call")
_CUTS = ("length", "content_filter")


def is_chunk(value: object) -> bool:
    """Tell whether `value` is of OpenAI's chat completions, a chunk or a whole one."""
    return isinstance(value, dict) and isinstance(value.get("choices"), list)


def is_end_event(name: object) -> bool:
    """Tell whether an event's name or an object's type says that the answer is over."""
    return isinstance(name, str) and name in _ENDS


class OpenAIStreamParser:
    """Put an answer together, and judge at the end whether it is whole.

    It is whole if it said so: by `[DONE]`, by an event that names the end, by a `finish_reason`.
    """

    def __init__(self) -> None:
        self.progress = 0
        """Signs of work so far; empty pieces and roles are none."""
        self.done = False
        """Whether the end was announced: nothing more is read."""
        self.finished = False
        """Whether the model has finished; the announcement of the end should follow."""
        self.error: str | None = None
        """What the agent said of its failure."""
        self._cut_by: str | None = None
        self._joiner = TextAssembler()

    @property
    def said(self) -> bool:
        """Tell whether any of the answer is known."""
        return self._joiner.said

    def end(self) -> None:
        """Take note of `[DONE]`, or of what means the same."""
        self.progress += 1
        self.done = True

    def fail(self, reason: str) -> None:
        """Take note that the agent has failed."""
        self.error = whole_characters(reason.strip()[:_MAX_REASON_CHARS])
        self.error = self.error or "the agent gave no reason"

    def text(self, text: str) -> str:
        """Take in a piece of the answer, and return what of it can be said now."""
        if self.done or not text:
            return ""
        self.progress += 1
        self.finished = False
        return self._joiner.add(text)

    def feed(self, value: dict[str, object]) -> str:
        """Take in an object, and return what it adds to the answer; an unknown one adds nothing."""
        if self.done:
            return ""
        if (reason := _failure(value)) is not None:
            self.fail(reason)
            return ""
        if is_chunk(value):
            return self._choices(value["choices"])
        content = next((v for k in _TEXT_KEYS if isinstance(v := value.get(k), str) and v), "")
        if is_end_event(value.get("type")) or value.get("done") is True:
            # Such an object may repeat the whole answer.
            piece = "" if self.said else self.text(content)
            self.end()
            return piece
        return self.text(content)

    def verdict(self) -> AgentError | None:
        """Say what the answer lacks now that the body has ended; None when it is whole."""
        if self._cut_by is not None:
            return AgentCutError(f"the model stopped early: {self._cut_by}")
        if not (self.done or self.finished):
            return AgentCutError("the stream ended before the agent did")
        return None if self.said else AgentEmptyError("no answer")

    def _choices(self, choices: object) -> str:
        """Take the first choice; a chunk without any tells what was spent."""
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index") not in (None, 0):
            return ""
        whole = isinstance(choice.get("message"), dict)
        delta = choice.get("message") if whole else choice.get("delta")
        if not isinstance(delta, dict):
            delta = {"content": choice.get("text")}  # of the older completions
        content = delta.get("content")
        piece = self.text(content) if isinstance(content, str) else ""
        if not content and any(delta[key] for key in delta if key != "role"):
            self.progress += 1  # it reasons, or calls a tool
        self._finish(choice.get("finish_reason") or ("stop" if whole else None))
        return piece

    def _finish(self, reason: object) -> None:
        if not isinstance(reason, str):
            return
        self.progress += 1
        if reason in _PAUSES:
            self._joiner.part()
            return
        self.finished = True
        self._cut_by = reason if reason in _CUTS else None


def _failure(value: dict[str, object]) -> str | None:
    if value.get("type") != "error":
        return failure_in(value)
    reasons = (failure_in(value), value.get("message"), value.get("content"), value.get("text"))
    return next((reason for reason in reasons if isinstance(reason, str)), "")
