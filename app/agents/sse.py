"""Server-sent events, line by line."""

import re
from dataclasses import dataclass

_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
_MAX_COMMENT_BYTES = 4096  # text has no such number of lines that all begin with a colon
_COMMENTS = re.compile(rb"(?::[^\n]*\n\s*)*")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is empty where it has none."""

    name: str
    data: str


def may_begin(start: bytes | bytearray) -> bool | None:
    """Tell whether a body that starts so consists of events; None while more must be seen.

    A few comments alone decide nothing: plain text may begin with a colon.
    """
    comments = _COMMENTS.match(start)
    after = comments.end() if comments else 0
    rest = bytes(start[after:])
    if rest.startswith(_FIELDS) or after > _MAX_COMMENT_BYTES:
        return True
    if rest.startswith(b":") or any(field.startswith(rest) for field in _FIELDS):
        return None
    return False


def is_comments(text: bytes) -> bool:
    """Tell whether a whole body holds nothing but comments."""
    return all(line.startswith(b":") for line in text.split(b"\n") if line.strip())


class EventReader:
    """Gather lines, fed without their ends, into events."""

    def __init__(self) -> None:
        self.held_bytes = 0
        """Size of the event that is not complete yet."""
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, line: bytes) -> Event | None:
        """Take one line in; return the event that an empty line completes."""
        if not line:
            return self.finish()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self.held_bytes += len(value) + 1
        elif field == b"event":
            self._name = value.decode(errors="replace")
        return None

    def finish(self) -> Event | None:
        """Return the event gathered so far: many servers leave out the last empty line."""
        name, data = self._name, self._data
        self._name, self._data, self.held_bytes = "", [], 0
        if not (name or data):
            return None
        return Event(name, b"\n".join(data).decode(errors="replace"))
