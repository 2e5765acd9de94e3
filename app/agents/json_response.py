"""JSON that an agent sends: whether a text is JSON, and the reason of a failure in it."""

import json
import re

import orjson

from app.errors import AgentFailedError
from app.net.bounded_json import MAX_VALUES, TooManyValuesError, check_values

MAX_REASON_CHARS = 200
"""Length of the agent's own words in the text of an error."""

NO_REASON = "the agent gave no reason"
NO_TEXT = "the response holds no text"

STARTED = "Workflow was started"
FAILURE = "Error in workflow"
OWN_MESSAGES = (STARTED, FAILURE, "Workflow executed successfully")
"""How the `message` of a document begins that n8n itself wrote, which is no answer."""

_SURROGATE = re.compile("[\ud800-\udfff]")
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
    if len(text) > MAX_VALUES:
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


def is_started_message(value: object) -> bool:
    """Return whether n8n says no more than that an execution has begun."""
    return isinstance(value, dict) and value.get("message") == STARTED


def failure_reason(value: object) -> str | None:
    """Return why the agent failed, by what a JSON value says; None if it did not fail."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    if value.get("message") == FAILURE:
        return FAILURE
    if not value.get("error"):
        return None
    if isinstance(error := value["error"], dict):
        return message if isinstance(message := error.get("message"), str) else "error"
    return next((v for k in ("error", "message") if isinstance(v := value.get(k), str)), "error")


def whole_characters(text: str) -> str:
    """Join UTF-16 surrogate pairs, which only JSON can hold; a lone surrogate becomes U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def shortened_reason(text: str) -> str:
    """Return an agent's own words as the text of an error; they may be empty or very long."""
    return whole_characters(text.strip()[:MAX_REASON_CHARS]) or NO_REASON
