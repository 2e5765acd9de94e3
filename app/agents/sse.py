"""Server-sent events, read line by line."""

import re
from dataclasses import dataclass

_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
_MAX_COMMENT_BYTES = 4096  # plain text does not begin with so much that looks like comments
_COMMENTS = re.compile(rb"(?::[^\n]*\n\s*)*")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is empty if the server gave none."""

    name: str
    data: str


def begins_with_event(start: bytes | bytearray) -> bool | None:
    """Return whether a body that begins with `start` consists of events; None while undecided.

    A few comments decide nothing, as plain text may begin with a colon.
    """
    comments = _COMMENTS.match(start)
    after = comments.end() if comments else 0
    rest = bytes(start[after:])
    if rest.startswith(_FIELDS) or after > _MAX_COMMENT_BYTES:
        return True
    if rest.startswith(b":") or any(field.startswith(rest) for field in _FIELDS):
        return None
    return False


def is_only_comments(body: bytes) -> bool:
    """Return whether a whole body holds nothing but comments."""
    return all(line.startswith(b":") for line in body.split(b"\n") if line.strip())


class EventReader:
    """Assemble events from lines, which are fed without their line breaks."""

    def __init__(self) -> None:
        self.pending_bytes = 0
        """Size of the incomplete event."""
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, line: bytes) -> Event | None:
        """Take one line; return the event that it completes, which only an empty line does."""
        if not line:
            return self.finish()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self.pending_bytes += len(value) + 1
        elif field == b"event":
            self._name = value.decode(errors="replace")
        return None

    def finish(self) -> Event | None:
        """Return the incomplete event, if any: many servers leave out the last empty line."""
        name, data = self._name, self._data
        self._name, self._data, self.pending_bytes = "", [], 0
        if not (name or data):
            return None
        return Event(name, b"\n".join(data).decode(errors="replace"))
