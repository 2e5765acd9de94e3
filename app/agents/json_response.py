"""JSON objects that hold an answer, or the news that there is none."""

import json
import re

import orjson

# `message` is not among them: n8n itself speaks there ("Workflow was started").
_ANSWER_KEYS = ("output", "text", "answer", "response")
_FAILURE_MESSAGE = "Error in workflow"  # n8n's word for a run that failed
_PAGES = (b"<!doctype html", b"<html")
_MAX_DEPTH = 4  # a list of objects whose answer is an object, as output parsers make them
_MAY_BE_JSON = re.compile(rb'\{\s*("|\}|\Z)|\[\s*(\{|\]|\Z)')
_IS_MEANT_AS_JSON = re.compile(rb'(\[\s*)?\{\s*"[^"]*"\s*:')


def may_be_json(start: bytes | bytearray) -> bool:
    """Tell whether an object, or a list of objects, may begin so."""
    return _MAY_BE_JSON.match(start) is not None


def may_be_page(start: bytes | bytearray) -> bool | None:
    """Tell whether a body that starts so is a web page, as a log-in is; None while it may be."""
    lowered = bytes(start[: max(map(len, _PAGES))]).lower()
    if lowered.startswith(_PAGES):
        return True
    return None if lowered and any(page.startswith(lowered) for page in _PAGES) else False


def is_meant_as_json(text: bytes) -> bool:
    """Tell whether text that cannot be parsed is a broken object rather than prose."""
    return _IS_MEANT_AS_JSON.match(text) is not None


def parse(text: bytes | bytearray | str) -> dict[str, object] | list[object] | None:
    """Read an object or a list; None when it is neither.

    What orjson refuses may be sloppy all the same: bytes that are no UTF-8, line breaks within a
    string, NaN. The standard library takes it, at ten times the cost.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = _parse_sloppy(text)
    return value if isinstance(value, dict | list) else None


def _parse_sloppy(text: bytes | bytearray | str) -> object:
    if not isinstance(text, str):
        text = text.decode(errors="replace")
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def answer_in(value: object, depth: int = 0) -> str:
    """Find the text of an answer; empty when there is none. Several are joined by line breaks."""
    if isinstance(value, str):
        return value.strip() if depth else ""
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        found = (answer_in(entry, depth + 1) for entry in value if isinstance(entry, dict))
        return "\n".join(filter(None, found))
    if isinstance(value, dict):
        return next(filter(None, (answer_in(value.get(k), depth + 1) for k in _ANSWER_KEYS)), "")
    return ""


def failure_in(value: object) -> str | None:
    """Find the reason of a run that failed; None when it did not."""
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
    """Join UTF-16 halves, which JSON can hold and nothing else can; a lone one becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
