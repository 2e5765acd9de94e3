"""Which request gets which socket: the decisions of the pool, without I/O.

A `PooledConnection` is one socket of the pool, from the moment it is being opened:

    OPENING ──▶ IDLE ──▶ LEASED ──▶ LINGERING ──▶ IDLE        the stream has ended
                            ├─────▶ DRAINING ───▶ LINGERING   the stream was abandoned
                            └─────▶ (removed)                 the request failed

`PoolState.assign` pairs waiting requests with sockets and *returns* what the pool has to do.
"""

import asyncio
import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, Protocol

from app.pool.budget import ConnectBudget
from app.pool.connection import C

MIN_WAIT_S = 0.1
"""Shortest wait in which a socket can become free that is not lingering.

A stream or a handshake takes several times as long (`docs/hamsa.md`, Timing).
"""


class Waiter(Protocol[C]):
    """A request that waits for a socket: `PendingLease`, or a stand-in for it in a test."""

    allow_connect: bool
    """Whether a socket may be opened for it."""
    is_needed_now: bool
    """Whether a user waits for it. Such requests go before prefetches."""

    def done(self) -> bool:
        """Return whether the request has its socket, has failed, or was cancelled."""

    def set_result(self, pooled: "PooledConnection[C]", /) -> None:
        """Give the request its socket."""

    def set_exception(self, error: Exception, /) -> None:
        """Fail the request."""


class ConnectionState(enum.Enum):
    """What a pooled connection is doing."""

    OPENING = enum.auto()
    IDLE = enum.auto()
    LEASED = enum.auto()
    LINGERING = enum.auto()
    DRAINING = enum.auto()


@dataclass(eq=False, slots=True)
class PooledConnection(Generic[C]):
    """One socket of the pool and its state."""

    state: ConnectionState = ConnectionState.OPENING
    connection: C | None = None
    """The socket; None while it is being opened."""
    linger: asyncio.Timeout | None = None
    """The timeout of the linger; moved to now when a request waits for the socket."""
    idle_since: float = 0.0
    """When the socket became idle, on the clock of `assign`."""
    linger_cancelled: bool = False
    """Whether the linger was cut short, so that trailing audio may still come."""


@dataclass(slots=True)
class PoolActions(Generic[C]):
    """What the pool has to do after a decision."""

    to_open: list[PooledConnection[C]] = field(default_factory=list)
    to_close: list[PooledConnection[C]] = field(default_factory=list)
    to_cancel_linger: list[PooledConnection[C]] = field(default_factory=list)
    wake_at: float | None = None
    """When to decide again if nothing changes before; None: not before a change."""


class PoolState(Generic[C]):
    """All sockets of one pool, and the requests that wait for one.

    All times are seconds of one monotonic clock.

    `max_age_s`: a socket of this age is closed.
    `max_pong_age_s`: so is one from which nothing has come for this long.
    `idle_timeout_s`: how long a socket above `min_idle` may be unused.
    """

    def __init__(
        self,
        budget: ConnectBudget,
        *,
        max_connections: int,
        max_age_s: float,
        max_pong_age_s: float,
        idle_timeout_s: float = 300.0,
        min_idle: int = 1,
    ) -> None:
        self.budget = budget
        self.connections: list[PooledConnection[C]] = []
        """Ordered by last use: `make_idle` moves a socket to the end."""
        self.waiters: deque[Waiter[C]] = deque()
        self.warm_target = 0
        """How many free sockets the next `assign` provides ahead of need; it resets this to 0."""
        self._max_connections = max_connections
        self._max_age_s = max_age_s
        self._max_pong_age_s = max_pong_age_s
        self._idle_timeout_s = idle_timeout_s
        self._min_idle = min_idle

    def __repr__(self) -> str:
        return " ".join(f"{name}={count}" for name, count in self.counts().items())

    def counts(self) -> dict[str, int]:
        """Return the number of sockets in each state, and of requests that wait for one."""
        counts = {state.name.lower(): self.count(state) for state in ConnectionState}
        return {**counts, "waiting": sum(not waiter.done() for waiter in self.waiters)}

    def count(self, *states: ConnectionState) -> int:
        """Return the number of sockets in any of these states."""
        return sum(pooled.state in states for pooled in self.connections)

    def assign(self, now: float) -> PoolActions[C]:
        """Pair waiting requests with idle sockets, and return what the pool has to do.

        The socket used last is leased first, so that few sockets serve and the others retire.
        A linger is cancelled rather than a socket opened: the provider's `ack` separates two
        requests well enough.
        """
        actions = PoolActions[C](to_close=self._remove_unusable(now))
        idle = self._idle()
        while idle and (waiter := self.next_waiter()) is not None:
            pooled = idle.pop()
            pooled.state = ConnectionState.LEASED
            waiter.set_result(pooled)
        unserved = [waiter for waiter in self.waiters if not waiter.done()]
        self.waiters = deque(unserved)
        actions.wake_at = self._next_retirement_at(idle)
        if unserved or self.warm_target:
            lingering = [
                pooled for pooled in self.connections if pooled.state is ConnectionState.LINGERING
            ]
            # a socket whose linger was cancelled serves one of them in a moment: one each
            uncancelled = [pooled for pooled in lingering if not pooled.linger_cancelled]
            soon = len(lingering) - len(uncancelled)
            actions.to_cancel_linger = uncancelled[: max(0, len(unserved) - soon)]
            available_soon = self.count(ConnectionState.OPENING) + len(lingering)
            wanted = sum(waiter.allow_connect for waiter in unserved) - available_soon
            to_warm = self.warm_target - available_soon - len(idle)
            self._open(max(wanted, to_warm), now, actions)
            self.warm_target = 0
        return actions

    def cannot_be_served_within(self, now: float, acquire_timeout_s: float) -> bool:
        """Return whether no socket can become free within `acquire_timeout_s` seconds."""
        if self.count(ConnectionState.LINGERING):
            return False
        if acquire_timeout_s < MIN_WAIT_S:
            return True
        if self.count(ConnectionState.OPENING, ConnectionState.LEASED, ConnectionState.DRAINING):
            return False
        return self.budget.next_opening_at(now) > now + acquire_timeout_s

    def remove(self, pooled: PooledConnection[C]) -> None:
        """Remove a socket from the pool. Do nothing if it was removed before."""
        if pooled in self.connections:
            self.connections.remove(pooled)

    def make_idle(self, pooled: PooledConnection[C], now: float) -> None:
        """Mark a socket as free; it is the one leased next."""
        pooled.idle_since = now
        self.connections.remove(pooled)
        self.connections.append(pooled)
        pooled.state = ConnectionState.IDLE
        pooled.linger = None

    def next_waiter(self) -> Waiter[C] | None:
        """Remove and return the first request that waits; one that is needed now if there is."""
        waiting = [waiter for waiter in self.waiters if not waiter.done()]
        if not waiting:
            return None
        waiter = next((waiter for waiter in waiting if waiter.is_needed_now), waiting[0])
        self.waiters.remove(waiter)
        return waiter

    def waiters_to_fail(self, *, is_final: bool) -> list[Waiter[C]]:
        """Return the requests that fail with an opening.

        All of them when its error `is_final`, else the first for which a socket may be opened.
        """
        waiting = [waiter for waiter in self.waiters if not waiter.done()]
        if is_final:
            return waiting
        return [waiter for waiter in waiting if waiter.allow_connect][:1]

    def _idle(self) -> list[PooledConnection[C]]:
        """Return the idle sockets, the one used last at the end."""
        return [pooled for pooled in self.connections if pooled.state is ConnectionState.IDLE]

    def _next_retirement_at(self, idle: list[PooledConnection[C]]) -> float | None:
        """Return when the socket that is idle longest reaches its limit; None if it is needed."""
        if not idle or len(self.connections) <= self._min_idle:
            return None
        return idle[0].idle_since + self._idle_timeout_s

    def _open(self, wanted: int, now: float, actions: PoolActions[C]) -> None:
        for _ in range(wanted):
            if len(self.connections) >= self._max_connections:
                return
            if not self.budget.try_open(now):
                opening_at = self.budget.next_opening_at(now)
                actions.wake_at = min(opening_at, actions.wake_at or opening_at)
                return
            pooled = PooledConnection[C]()
            self.connections.append(pooled)
            actions.to_open.append(pooled)

    def _remove_unusable(self, now: float) -> list[PooledConnection[C]]:
        """Remove and return the idle sockets that must not be used, and those not needed.

        Dead, old and silent sockets are found here, right before a lease, because nothing else
        looks at an idle socket. `min_idle` counts the sockets in use, too: a busy pool keeps
        fewer spare ones.
        """
        unusable = [
            pooled
            for pooled in self._idle()
            if pooled.connection is not None and not self._is_usable(pooled.connection, now)
        ]
        for pooled in unusable:
            self.connections.remove(pooled)
        for pooled in self._idle()[: max(0, len(self.connections) - self._min_idle)]:
            if pooled.idle_since + self._idle_timeout_s > now:
                break  # the following ones were used later
            self.connections.remove(pooled)
            unusable.append(pooled)
        return unusable

    def _is_usable(self, connection: C, now: float) -> bool:
        return (
            connection.is_open
            and now - connection.opened_at < self._max_age_s
            and now - connection.last_pong_at < self._max_pong_age_s
        )
