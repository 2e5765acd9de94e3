"""JSON values that hold an agent's response, or the reason why there is none."""

import json
import re

import orjson

from app.errors import AgentFailedError
from app.net.bounded_json import TooManyValuesError, check_values

MAX_REASON_CHARS = 200
"""Length of the agent's own words in the text of an error."""

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


def response_text(value: object, depth: int = 0) -> str:
    """Return the text of the response in a JSON value; empty if there is none.

    The texts of a list are joined by line breaks.
    """
    if isinstance(value, str):
        return value.strip() if depth else ""
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        texts = (response_text(entry, depth + 1) for entry in value if isinstance(entry, dict))
        return "\n".join(filter(None, texts))
    if isinstance(value, dict):
        texts = (response_text(value.get(key), depth + 1) for key in _RESPONSE_KEYS)
        return next(filter(None, texts), "")
    return ""


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
