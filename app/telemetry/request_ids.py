"""The ids by which others find a turn: those that we send, and those that are sent to us."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_ID_CHARS = 64
"""Longest id of a stranger that is taken; a UUID has 36, nginx's `$request_id` 32."""

_ID = re.compile(rf"[A-Za-z0-9._~:@+/=-]{{1,{MAX_ID_CHARS}}}")
"""No space and no quote: the id stands in log lines and in headers."""


def _new_id() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a client's handshake said of where it comes from."""

    request_id: str = field(default_factory=_new_id)
    """Its `X-Request-Id`, often that of a proxy; 16 random hexadecimal digits if it had none."""
    traceparent: str | None = None
    """Its `traceparent` (W3C Trace Context), as it was sent."""

    def turn_id(self, turn: int) -> str:
        """Return the id of one turn: in the log, and as `X-Request-Id` at the agent."""
        return f"{self.request_id}-{turn}"


def origin_of(headers: Mapping[str, str]) -> Origin:
    """Read a handshake; an id that is too long, or holds other characters, counts as none."""
    return Origin(request_id_in(headers) or _new_id(), headers.get("traceparent"))


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """Return a valid `X-Request-Id`, of a client or of whoever answered us."""
    value = headers.get("x-request-id", "")
    return value if _ID.fullmatch(value) else None


def upstream_id(request_id: str | None) -> dict[str, str]:
    """Return the field of a log line for the id that a provider or an agent gave a request."""
    return {} if request_id is None else {"upstream_request_id": request_id}
