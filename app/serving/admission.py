"""Which connections may stay: bounds on their number, and on the bytes that they make us hold.

A connection is *pending* until a WebSocket handshake is accepted. Whoever opens many pending ones
loses the oldest: a polite client is through within a round trip, a patient attacker is not.
"""

import resource
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.serving.parsing_turns import ParsingTurns
from app.telemetry.counts import counter_metric, gauge_metric
from app.telemetry.log_limiter import LogLimiter

DESCRIPTORS_WANTED = 65_536
"""The soft limit of open files is raised to this, or to the hard limit: a connection is a file."""

DESCRIPTORS_KEPT = 48
"""Files kept free for the provider's sockets, the agent's connections, decoders and the log."""

REASONS = (
    *("too-many-connections", "too-many-pending", "too-many-frames"),
    *("too-many-pings", "too-much-buffered", "invalid-request", "invalid-utf-8"),
    *("handshake-timeout", "request-timeout", "message-timeout"),
)
"""Why connections are ended, as metrics call it."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The bounds of one process; the settings of the same names explain them."""

    max_connections: int = 10_000
    max_pending: int = 512
    handshake_timeout_s: float = 10.0
    """From the opening of a connection to a whole request, and to an accepted handshake."""
    request_timeout_s: float = 60.0
    """From a whole request to the end of its response."""
    message_timeout_s: float = 60.0
    """From the first byte of a WebSocket message to its last."""
    max_buffered_bytes: int = 48 * 1024 * 1024
    """Bytes of messages that are incomplete or not taken yet, of all connections together; as a
    message is taken, it takes up to four times its size."""
    max_frames_per_message: int = 4096
    """A phone's library cuts 14 MB of base64 into frames of 16 KB at the least: 850."""
    messages_per_s: float = 200.0
    """Messages beyond this wait; a microphone in frames of 10 ms sends 100 a second."""
    pings_per_s: float = 10.0
    """Pings and pongs beyond this end the connection; clients send one in 20 s."""
    close_timeout_s: float = 5.0
    """How long a client may take to read what was sent before the connection is aborted."""


class BoundConnection(Protocol):
    """A connection that can be ended from outside."""

    def abort(self) -> None:
        """Close at once."""

    def overflow(self) -> None:
        """Close because too much is buffered."""


class Admission:
    """Counts connections, and says which have to go."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        """Connections that were ended, by reason; for metrics."""
        self.limited_log = LogLimiter()
        self.turns = ParsingTurns()
        """Who may parse now."""
        self._pending: dict[BoundConnection, None] = {}
        self._established: set[BoundConnection] = set()
        self._buffered: dict[BoundConnection, int] = {}
        self._buffered_bytes = 0

    def __repr__(self) -> str:
        return (
            f"<Admission pending={len(self._pending)} established={len(self._established)} "
            f"buffered_bytes={self._buffered_bytes}>"
        )

    def counts(self) -> dict[str, int]:
        """Count the connections by state."""
        return {"pending": len(self._pending), "established": len(self._established)}

    def admit(self, connection: BoundConnection, now: float) -> bool:
        """Take a new connection in as pending; False when all that are open are established.

        The oldest pending connection is aborted when there are too many, of all or of pending ones.
        """
        limits = self.limits
        is_full = len(self._pending) + len(self._established) >= limits.max_connections
        if is_full and not self._pending:
            self.refuse("too-many-connections", now, limit=limits.max_connections)
            return False
        if is_full or len(self._pending) >= limits.max_pending:
            limit = limits.max_connections if is_full else limits.max_pending
            self.refuse("too-many-pending", now, limit=limit)
            oldest = next(iter(self._pending))
            del self._pending[oldest]
            oldest.abort()
        self._pending[connection] = None
        return True

    def upgrade(self, old: BoundConnection, new: BoundConnection) -> None:
        """Put a WebSocket in the place of the HTTP connection that it was."""
        self._pending.pop(old, None)
        self._pending[new] = None

    def establish(self, connection: BoundConnection) -> None:
        """Count a connection as a session: it is pending no more."""
        if connection in self._pending:
            del self._pending[connection]
            self._established.add(connection)

    def leave(self, connection: BoundConnection) -> None:
        """Forget a connection that is closed."""
        self._pending.pop(connection, None)
        self._established.discard(connection)
        self.buffer(connection, 0)

    def buffer(self, connection: BoundConnection, size: int) -> None:
        """Note how many bytes of messages a connection holds.

        When all together hold too many, the one that holds most is closed: a recording of a few
        seconds is never that one.
        """
        self._buffered_bytes += size - self._buffered.pop(connection, 0)
        if size:
            self._buffered[connection] = size
        if self._buffered_bytes > self.limits.max_buffered_bytes:
            largest = max(self._buffered, key=self._buffered.__getitem__)
            self._buffered_bytes -= self._buffered.pop(largest)
            largest.overflow()

    def refuse(self, reason: str, now: float, **fields: object) -> None:
        """Count a refusal, and log it if none of its kind was logged a moment ago."""
        self.refused[reason] += 1
        self.limited_log.warning(now, "connection refused", kind=reason, reason=reason, **fields)


class AdmissionCollector(Collector):
    """Shows connections and refusals to Prometheus."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        """Read the state of this moment."""
        yield gauge_metric(
            "nabra_connections",
            "Client connections by state",
            ["state"],
            self._admission.counts(),
        )
        yield counter_metric(
            "nabra_connections_refused",
            "Client connections that were ended",
            ["reason"],
            self._admission.refused,
            known=REASONS,
        )


class RateLimit:
    """A token bucket: `rate_per_s` on average, and twice as many at once."""

    def __init__(self, rate_per_s: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = max(1.0, 2 * rate_per_s)
        self._tokens = self._burst
        self._at = now

    def wait_s(self, now: float) -> float:
        """Take a token; return how long to wait until it is there, in seconds."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate_per_s) - 1
        self._at = now
        return max(0.0, -self._tokens / self._rate_per_s)


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files as far as is useful and allowed; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return DESCRIPTORS_WANTED if soft == resource.RLIM_INFINITY else soft


def connections_for(descriptors: int) -> int:
    """Return how many connections so many descriptors bear; a quarter at least is kept."""
    return max(1, descriptors - max(DESCRIPTORS_KEPT, min(descriptors // 4, 256)))
