"""What a lease of a socket is, who waits for one, and the bounds of both."""

import asyncio
from dataclasses import dataclass

from app.hamsa.connection import Connection
from app.hamsa.pool_state import PooledConnection


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The pool's bounds, in seconds; the settings of the same names explain them."""

    lease_timeout_s: float = 20.0
    linger_s: float = 0.3
    drain_timeout_s: float = 15.0
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 10.0
    throttle_penalty_s: float = 1.0
    """Pause without openings after a sign of throttling; it doubles with each further sign, since
    one truncated answer may be bad luck."""


class Waiter(asyncio.Future[PooledConnection]):
    """Somebody who waits for a slot."""

    allow_connect = True
    is_needed_now = True


class DiscardSink:
    """Takes the late audio of an answer that was abandoned: it, too, may follow its `end`."""

    def put(self, data: bytes) -> None:
        """Drop it."""

    def close(self) -> None:
        """Learn that no more can come."""


class Lease:
    """The right to use one socket for one request."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reused = connection.requests > 0
