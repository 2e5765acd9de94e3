"""RequestLog: what the simulator was asked, and what it sent."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from app.simulator.faults import Channel, FaultName, Operation

_MAX_RECORDS = 1_000


@dataclass(slots=True)
class RequestRecord:
    """One request; times are seconds of `time.monotonic()`. The control shows it field by field."""

    kind: Operation
    channel: Channel
    text: str
    """The text to speak, the transcript that was sent, or the user's text for the agent."""
    socket: int | None
    """Number of the WebSocket, from 1 in the order of opening; None over HTTP."""
    received_at: float = field(default_factory=time.monotonic)
    first_audio_at: float | None = None
    """First audio sent; for STT the transcript, for the agent the first token."""
    ended_at: float | None = None
    faults: tuple[FaultName, ...] = ()
    bytes: int = 0
    """Audio or body bytes sent."""
    aborted: bool = False
    """Whether the client disconnected before the end."""
    messages: list[dict[str, str]] = field(default_factory=list)
    """The chat that a model was given."""

    def count_sent(self, n_bytes: int) -> None:
        """Count bytes that were just sent."""
        if self.first_audio_at is None:
            self.first_audio_at = time.monotonic()
        self.bytes += n_bytes


@dataclass(slots=True)
class Stats:
    """Totals since the start. The control shows them field by field."""

    sockets_opened: int = 0
    sockets_open: int = 0
    sockets_peak: int = 0
    sockets_refused: int = 0
    """Handshakes that got an HTTP error or a redirect."""
    sockets_throttled: int = 0
    """Opened or refused beyond the throttle's limit."""
    requests: Counter[str] = field(default_factory=Counter)
    """By channel and kind: `websocket.tts`."""
    faults: Counter[str] = field(default_factory=Counter)
    """Faults that fired, by name."""
    http_requests: Counter[str] = field(default_factory=Counter)
    """By HTTP version; requests to the simulator's own control are left out."""
    http_connections: Counter[str] = field(default_factory=Counter)
    """By HTTP version."""
    keys_leaked: int = 0
    """API keys that followed a redirect."""
    agent_aborted: int = 0
    """Responses of the agent whose client disconnected."""

    def socket_opened(self) -> int:
        """Count a socket in; return its number, from 1."""
        self.sockets_opened += 1
        self.sockets_open += 1
        self.sockets_peak = max(self.sockets_peak, self.sockets_open)
        return self.sockets_opened

    def socket_closed(self) -> None:
        """Count a socket out."""
        self.sockets_open -= 1

    def as_dict(self) -> dict[str, Any]:
        """Return the totals as JSON can hold them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in values.items()
        }


class RequestLog:
    """Keep the totals, and records of the last 1,000 requests."""

    def __init__(self) -> None:
        self.stats = Stats()
        self.records: deque[RequestRecord] = deque(maxlen=_MAX_RECORDS)

    @contextmanager
    def record(
        self, kind: Operation, channel: Channel, text: str, socket: int | None = None
    ) -> Iterator[RequestRecord]:
        """Keep a record open while a request is served; it is aborted if the block raises."""
        record = RequestRecord(kind, channel, text, socket)
        self.records.append(record)
        self.stats.requests[f"{channel}.{kind}"] += 1
        is_complete = False
        try:
            yield record
            is_complete = True
        finally:
            record.ended_at = time.monotonic()
            record.aborted = not is_complete
            if kind == "agent" and record.aborted:
                self.stats.agent_aborted += 1
