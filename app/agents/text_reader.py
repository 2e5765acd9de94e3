"""Where the text of a response stands in a JSON value."""

from collections.abc import Iterator

from app.agents.json_response import OWN_MESSAGES

MAX_VALUES = 4000
"""Values in which the text of a response is searched, 4 ms of CPU: chosen. Agents send one object,
or one for each item of a workflow."""

TOO_MANY_VALUES = f"more than {MAX_VALUES} values in one JSON document"

RESPONSE_KEYS = (
    "output", "text", "answer", "response", "reply", "result", "content", "message",
)  # fmt: skip
"""Where the text is looked for, in this order: at first where n8n's nodes and other agents write a
whole answer, then in the messages of OpenAI's APIs."""

_NOT_SPOKEN = (
    "reasoning", "thinking", "redacted_thinking", "function_call", "function_call_output",
    "tool_use", "tool_result", "tool_call", "data",
)  # fmt: skip
"""Types of objects that hold no answer: in the output of models, and data for the client."""

_MAX_DEPTH = 8  # two objects and lists deeper than OpenAI's messages in a list of n8n's items


class TextReader:
    """Find the text of the response in a JSON value.

    `path` says where it stands, as the names of a JSON Pointer; where it does not exist, and
    without one, the usual keys do. At most `max_values` objects, lists and texts are looked at:
    hundreds of thousands fit into a body, and would hold the event loop for most of a second.
    """

    def __init__(self, path: tuple[str, ...] = (), *, max_values: int = MAX_VALUES) -> None:
        self.is_exhausted = False
        """Whether there was more to look at."""
        self._path = path
        self._values_left = max_values

    def read(self, value: object) -> str:
        """Return the text, that of a list joined by line breaks; empty if there is none."""
        if self._path and (text := self._text(value_at(value, self._path), depth=1)):
            return text
        return self._text(value, depth=0)

    def _text(self, value: object, depth: int) -> str:
        if isinstance(value, str):
            return value.strip() if depth else ""
        if depth > _MAX_DEPTH:
            return ""
        if isinstance(value, list):
            return "\n".join(self._texts_of_list(value, depth + 1))
        if isinstance(value, dict) and value.get("type") not in _NOT_SPOKEN:
            entries = (value[key] for key in RESPONSE_KEYS if _is_text_key(key, value))
            texts = (self._text(entry, depth + 1) for entry in entries if self._take())
            return next(filter(None, texts), "")
        return ""

    def _texts_of_list(self, entries: list[object], depth: int) -> Iterator[str]:
        for entry in entries:
            if not self._take():
                return
            if isinstance(entry, dict | str) and (text := self._text(entry, depth)):
                yield text

    def _take(self) -> bool:
        """Count a value; return whether it may still be looked at."""
        self.is_exhausted = self._values_left == 0
        self._values_left = max(0, self._values_left - 1)
        return not self.is_exhausted


def value_at(value: object, path: tuple[str, ...]) -> object:
    """Return the value where a JSON Pointer leads (RFC 6901); None if it leads nowhere."""
    for name in path:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _is_text_key(key: str, value: dict[str, object]) -> bool:
    """Return whether the text may stand under `key`.

    A `message` beside an `error` says what failed, and some that n8n writes are no answer.
    """
    if key not in value:
        return False
    entry = value[key]
    if key != "message" or not isinstance(entry, str):
        return True
    return not value.get("error") and not entry.strip().startswith(OWN_MESSAGES)
