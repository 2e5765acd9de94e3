"""JSON values that hold an agent's response, or the reason why there is none."""

import json
import re
from collections.abc import Iterator

import orjson

from app.errors import AgentFailedError
from app.net.bounded_json import TooManyValuesError, check_values

MAX_REASON_CHARS = 200
"""Length of the agent's own words in the text of an error."""

MAX_VALUES = 4000
"""Values in which the text of a response is searched, 4 ms of CPU: chosen. Agents send one object,
or one for each item of a workflow."""

TOO_MANY_VALUES = f"more than {MAX_VALUES} values in one JSON document"
NO_REASON = "the agent gave no reason"
NO_TEXT = "the response holds no text"

# `message` is not among them: there n8n itself writes ("Workflow was started").
_RESPONSE_KEYS = ("output", "text", "answer", "response")
_FAILURE_MESSAGE = "Error in workflow"  # n8n's message for an execution that failed
_MAX_DEPTH = 4  # a list of objects whose response is an object, as output parsers make them
_MAY_BE_JSON = re.compile(rb'\{\s*("|\}|\Z)|\[\s*(\{|\]|\Z)')
_BROKEN_OBJECT = re.compile(rb'(\[\s*)?\{\s*"[^"]*"\s*:')


def may_be_json(start: bytes | bytearray) -> bool:
    """Return whether an object, or a list of objects, may begin with `start`."""
    return _MAY_BE_JSON.match(start) is not None


def is_broken_json(text: bytes) -> bool:
    """Return whether text that cannot be parsed is a broken object rather than prose."""
    return _BROKEN_OBJECT.match(text) is not None


def parse(text: bytes | bytearray | str) -> dict[str, object] | list[object] | None:
    """Parse an object or a list; return None for everything else.

    The standard library parses what orjson rejects: invalid UTF-8, line breaks within a string,
    NaN. It takes ten times as long. Raises `AgentFailedError` for what would take very long.
    """
    try:
        check_values(text)
    except TooManyValuesError as error:
        raise AgentFailedError(str(error)) from None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = _parse_leniently(text)
    return value if isinstance(value, dict | list) else None


def _parse_leniently(text: bytes | bytearray | str) -> object:
    if not isinstance(text, str):
        text = text.decode(errors="replace")
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


class TextReader:
    """Find the text of the response in a JSON value.

    At most `max_values` objects, lists and texts are looked at: hundreds of thousands fit into a
    body, and would hold the event loop for most of a second.
    """

    def __init__(self, *, max_values: int = MAX_VALUES) -> None:
        self.is_exhausted = False
        """Whether there was more to look at."""
        self._values_left = max_values

    def read(self, value: object, depth: int = 0) -> str:
        """Return the text, that of a list joined by line breaks; empty if there is none."""
        if isinstance(value, str):
            return value.strip() if depth else ""
        if depth > _MAX_DEPTH:
            return ""
        if isinstance(value, list):
            return "\n".join(self._texts_of_list(value, depth + 1))
        if isinstance(value, dict):
            entries = (value[key] for key in _RESPONSE_KEYS if key in value)
            texts = (self.read(entry, depth + 1) for entry in entries if self._take())
            return next(filter(None, texts), "")
        return ""

    def _texts_of_list(self, entries: list[object], depth: int) -> Iterator[str]:
        for entry in entries:
            if not self._take():
                return
            if isinstance(entry, dict) and (text := self.read(entry, depth)):
                yield text

    def _take(self) -> bool:
        """Count a value; return whether it may still be looked at."""
        self.is_exhausted = self._values_left == 0
        self._values_left = max(0, self._values_left - 1)
        return not self.is_exhausted


def failure_reason(value: object) -> str | None:
    """Return why the agent failed, by what a JSON value says; None if it did not fail."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    if value.get("message") == _FAILURE_MESSAGE:
        return _FAILURE_MESSAGE
    if not value.get("error"):
        return None
    if isinstance(error := value["error"], dict):
        return message if isinstance(message := error.get("message"), str) else "error"
    return next((v for k in ("error", "message") if isinstance(v := value.get(k), str)), "error")


def whole_characters(text: str) -> str:
    """Join UTF-16 surrogate pairs, which only JSON can hold; a lone surrogate becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def shortened_reason(text: str) -> str:
    """Return an agent's own words as the text of an error; they may be empty or very long."""
    return whole_characters(text.strip()[:MAX_REASON_CHARS]) or NO_REASON
