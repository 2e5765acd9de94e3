"""RequestLog: what was asked of the simulator, and what it did."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from app.simulator.faults import Channel, FaultName, Operation

_TIMELINE_LENGTH = 1_000


@dataclass(slots=True)
class RequestRecord:
    """One request; times are `time.monotonic()` seconds."""

    kind: Operation
    channel: Channel
    text: str
    """What was to be spoken, what was heard, or what the agent was told."""
    socket: int | None
    """Number of the WebSocket, from 1 in the order of opening."""
    received_at: float = field(default_factory=time.monotonic)
    first_audio_at: float | None = None
    """First audio sent; for STT its transcript, for the agent the first piece of its answer."""
    ended_at: float | None = None
    faults: tuple[FaultName, ...] = ()
    bytes: int = 0
    """Audio or body bytes sent."""
    aborted: bool = False
    """Whether the client was gone before the end."""
    messages: list[dict[str, str]] = field(default_factory=list)
    """The conversation that a model was told."""

    def count_sent(self, n_bytes: int) -> None:
        """Count what was just sent."""
        if self.first_audio_at is None:
            self.first_audio_at = time.monotonic()
        self.bytes += n_bytes


@dataclass(slots=True)
class Stats:
    """Totals since the start."""

    sockets_opened: int = 0
    sockets_open: int = 0
    sockets_peak: int = 0
    sockets_refused: int = 0
    """Handshakes answered with an HTTP error or a redirect."""
    sockets_throttled: int = 0
    """Opened or refused beyond the throttle's limit."""
    requests: Counter[str] = field(default_factory=Counter)
    """By channel and kind: `websocket.tts`."""
    faults: Counter[str] = field(default_factory=Counter)
    http_requests: Counter[str] = field(default_factory=Counter)
    """By HTTP version; requests to the simulator's own control are left out."""
    http_connections: Counter[str] = field(default_factory=Counter)
    """By HTTP version."""
    keys_leaked: int = 0
    """Keys that followed a redirect."""
    agent_aborted: int = 0
    """Answers of the agent whose client went away."""

    def opened(self) -> int:
        """Count a socket in; return its number."""
        self.sockets_opened += 1
        self.sockets_open += 1
        self.sockets_peak = max(self.sockets_peak, self.sockets_open)
        return self.sockets_opened

    def closed(self) -> None:
        """Count a socket out."""
        self.sockets_open -= 1

    def fired(self, faults: Iterable[FaultName]) -> None:
        """Count the faults that fired."""
        self.faults.update(faults)

    def as_dict(self) -> dict[str, Any]:
        """Give the totals as JSON can hold them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in values.items()
        }


class RequestLog:
    """Keep the totals and a timeline of the last 1,000 requests."""

    def __init__(self) -> None:
        self.stats = Stats()
        self.timeline: deque[RequestRecord] = deque(maxlen=_TIMELINE_LENGTH)

    @contextmanager
    def request(
        self, kind: Operation, channel: Channel, text: str, socket: int | None = None
    ) -> Iterator[RequestRecord]:
        """Keep a record for as long as the request is served."""
        record = RequestRecord(kind, channel, text, socket)
        self.timeline.append(record)
        self.stats.requests[f"{channel}.{kind}"] += 1
        completed = False
        try:
            yield record
            completed = True
        finally:
            record.ended_at = time.monotonic()
            record.aborted = not completed
            if kind == "agent" and record.aborted:
                self.stats.agent_aborted += 1
