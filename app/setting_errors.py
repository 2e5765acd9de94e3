"""What the operator is told when a setting is wrong: what was read, and what to write instead."""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

_MAX_SHOWN_CHARS = 60  # of a rejected value
_NUMBER_ERRORS = ("int_", "float_", "finite_", "greater_", "less_")  # kinds, as pydantic names them


def describe_error(error: ErrorDetails, field: FieldInfo) -> str:
    """Return what is wrong with a setting, what was read, and what to write instead."""
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return "must be set"
    if error["type"] == "value_error" or "SecretStr" in repr(field.annotation):
        return message
    return f"must be {_expected(error, field)}, got {shown(error['input'])}"


def _expected(error: ErrorDetails, field: FieldInfo) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "bool_parsing":
        return "true or false"
    if kind in ("string_too_short", "string_too_long"):
        return f"{_limit(field, 'min_length')} to {_limit(field, 'max_length')} characters long"
    if not kind.startswith(_NUMBER_ERRORS):
        return f"valid ({error['msg']})"
    number = "a whole number" if field.annotation is int else "a number"
    if _limit(field, "le") is None:
        return number
    if (above := _limit(field, "gt")) is not None:
        return f"{number} above {above}, at most {_limit(field, 'le')}"
    return f"{number} from {_limit(field, 'ge')} to {_limit(field, 'le')}"


def _limit(field: FieldInfo, name: str) -> Any:
    return next((getattr(each, name) for each in field.metadata if hasattr(each, name)), None)


def shown(value: object) -> str:
    """Return a rejected value as an operator sees it: quoted, and cut; a number as it is."""
    text = str(value)
    if text.removeprefix("-").isdecimal():
        return text
    return repr(text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…")
