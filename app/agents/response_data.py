"""What an agent sends for the client beside words: an object of type `data`."""

from app.agents.json_response import may_be_json, parse

_PAYLOAD_KEYS = ("data", "content")
_ENVELOPE_KEYS = ("type", "metadata")


def is_data(value: object) -> bool:
    """Return whether a JSON value is data for the client."""
    return isinstance(value, dict) and value.get("type") == "data"


def payload_of(value: dict[str, object]) -> object:
    """Return the data itself: what stands under `data` or `content`, else all fields but `type`."""
    for key in _PAYLOAD_KEYS:
        if key in value:
            return decoded(value[key])
    return {name: field for name, field in value.items() if name not in _ENVELOPE_KEYS}


def decoded(data: object) -> object:
    """Return what JSON holds that is written as a text; anything else as it is.

    Raises `AgentFailedError` for JSON of too many values.
    """
    if isinstance(data, str) and may_be_json(data.strip().encode(errors="replace")):
        value = parse(data)
        return data if value is None else value
    return data
