"""Which request gets which socket: the decisions of the pool, without I/O.

A `PooledConnection` is one socket of the pool, from the moment it is being opened:

    OPENING ──▶ IDLE ──▶ LEASED ──▶ LINGERING ──▶ IDLE        the stream has ended
                            ├─────▶ DRAINING ───▶ LINGERING   the stream was abandoned
                            └─────▶ (removed)                 the request failed

`PoolState.assign` pairs waiting requests with sockets and *returns* what the pool has to do. The
cost of a decision depends neither on how many sockets there are nor on how many requests wait.
"""

import asyncio
import enum
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, Protocol

from app.pool.budget import ConnectBudget
from app.pool.connection import C
from app.pool.waiter_queue import WaiterQueue

MIN_WAIT_S = 0.1
"""Shortest wait in which a socket can become free that is not lingering.

A stream or a handshake takes several times as long (`docs/hamsa.md`, Timing).
"""


class Waiter(Protocol[C]):
    """A request that waits for a socket: `PendingLease`, or a stand-in for it in a test."""

    def set_result(self, pooled: "PooledConnection[C]", /) -> None:
        """Give the request its socket."""

    def set_exception(self, error: Exception, /) -> None:
        """Fail the request."""


class ConnectionState(enum.StrEnum):
    """What a pooled connection is doing. The values are names for metrics."""

    OPENING = enum.auto()
    IDLE = enum.auto()
    LEASED = enum.auto()
    LINGERING = enum.auto()
    DRAINING = enum.auto()


@dataclass(eq=False, slots=True)
class PooledConnection(Generic[C]):
    """One socket of the pool and its state."""

    state: ConnectionState = ConnectionState.OPENING
    """What it is doing. `PoolState.move` changes it."""
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
        self.connections: set[PooledConnection[C]] = set()
        """All sockets. `add`, `remove` and `clear` change it."""
        self.waiters = WaiterQueue[Waiter[C]]()
        self.warm_target = 0
        """How many free sockets the next `assign` provides ahead of need; it resets this to 0."""
        self._by_state: dict[ConnectionState, OrderedDict[PooledConnection[C], None]] = {
            state: OrderedDict() for state in ConnectionState
        }
        """The sockets in each state, in the order in which they came to it."""
        self._idle = self._by_state[ConnectionState.IDLE]
        self._cancellable: OrderedDict[PooledConnection[C], None] = OrderedDict()
        """The lingering sockets whose linger was not cancelled."""
        self._max_connections = max_connections
        self._max_age_s = max_age_s
        self._max_pong_age_s = max_pong_age_s
        self._idle_timeout_s = idle_timeout_s
        self._min_idle = min_idle

    def __repr__(self) -> str:
        return " ".join(f"{name}={count}" for name, count in self.counts().items())

    def counts(self) -> dict[str, int]:
        """Return the number of sockets in each state, and of requests that wait for one."""
        counts = {state.value: len(sockets) for state, sockets in self._by_state.items()}
        return {**counts, "waiting": len(self.waiters)}

    def count(self, *states: ConnectionState) -> int:
        """Return the number of sockets in any of these states."""
        return sum(len(self._by_state[state]) for state in states)

    def assign(self, now: float) -> PoolActions[C]:
        """Pair waiting requests with idle sockets, and return what the pool has to do.

        The socket used last is leased first, so that few sockets serve and the others retire.
        A linger is cancelled rather than a socket opened: the provider's `ack` separates two
        requests well enough.
        """
        actions: PoolActions[C] = PoolActions()  # `PoolActions[C]()` costs a microsecond more
        self._check_idle(1, now, actions)  # a dead socket is none of `min_idle`
        self._retire_unneeded(now, actions)
        while self.waiters and self._check_idle(1, now, actions):
            pooled = next(reversed(self._idle))
            self.move(pooled, ConnectionState.LEASED)
            self.waiters.pop().set_result(pooled)
        actions.wake_at = self._next_retirement_at()
        if self.waiters or self.warm_target:
            self._cancel_lingers(actions)
            self._open_missing(now, actions)
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

    def add(self, pooled: PooledConnection[C]) -> None:
        """Add a socket."""
        self.connections.add(pooled)
        self._by_state[pooled.state][pooled] = None

    def remove(self, pooled: PooledConnection[C]) -> None:
        """Remove a socket from the pool. Do nothing if it was removed before."""
        self.connections.discard(pooled)
        self._by_state[pooled.state].pop(pooled, None)
        self._cancellable.pop(pooled, None)

    def clear(self) -> None:
        """Remove all sockets."""
        for pooled in list(self.connections):
            self.remove(pooled)

    def move(self, pooled: PooledConnection[C], state: ConnectionState) -> None:
        """Note what a socket is doing from now on."""
        del self._by_state[pooled.state][pooled]
        self._cancellable.pop(pooled, None)
        pooled.state = state
        self._by_state[state][pooled] = None

    def make_idle(self, pooled: PooledConnection[C], now: float) -> None:
        """Mark a socket as free; it is the one leased next."""
        pooled.idle_since = now
        pooled.linger = None
        self.move(pooled, ConnectionState.IDLE)

    def begin_linger(self, pooled: PooledConnection[C]) -> None:
        """Mark a socket as lingering; `assign` may cancel that."""
        self.move(pooled, ConnectionState.LINGERING)
        pooled.linger_cancelled = False
        self._cancellable[pooled] = None

    def is_idle(self, pooled: PooledConnection[C]) -> bool:
        """Return whether a socket is free, and was not removed."""
        return pooled in self._idle

    def waiters_to_fail(self, *, is_final: bool) -> list[Waiter[C]]:
        """Remove and return the requests that fail with an opening.

        All of them when its error `is_final`, else the first for which a socket may be opened.
        """
        if is_final:
            return self.waiters.pop_all()
        waiter = self.waiters.pop_connectable()
        return [] if waiter is None else [waiter]

    def _check_idle(self, needed: int, now: float, actions: PoolActions[C]) -> int:
        """Check the idle sockets, the one used last first, until `needed` are usable.

        Removes the dead, old and silent ones among them: they are found here, right before a lease.
        Those behind are left until their turn comes, or their retirement. Returns how many are
        usable.
        """
        usable, unusable = 0, []
        for pooled in reversed(self._idle):
            if usable == needed:
                break
            if self._is_usable(pooled, now):
                usable += 1
            else:
                unusable.append(pooled)
        for pooled in unusable:
            self.remove(pooled)
        actions.to_close += unusable
        return usable

    def _retire_unneeded(self, now: float, actions: PoolActions[C]) -> None:
        """Remove the sockets above `min_idle` that were unused for too long.

        `min_idle` counts the sockets in use, too: a busy pool keeps fewer spare ones.
        """
        while (retirement_at := self._next_retirement_at()) is not None and retirement_at <= now:
            unneeded = next(iter(self._idle))
            self.remove(unneeded)
            actions.to_close.append(unneeded)

    def _next_retirement_at(self) -> float | None:
        """Return when the socket that is idle longest reaches its limit; None if it is needed."""
        if not self._idle or len(self.connections) <= self._min_idle:
            return None
        return next(iter(self._idle)).idle_since + self._idle_timeout_s

    def _cancel_lingers(self, actions: PoolActions[C]) -> None:
        """Cancel a linger for each request that waits, the oldest first.

        A socket whose linger was cancelled before serves one of the requests in a moment.
        """
        lingering = self._by_state[ConnectionState.LINGERING]
        while self._cancellable and len(lingering) - len(self._cancellable) < len(self.waiters):
            pooled, _ = self._cancellable.popitem(last=False)
            pooled.linger_cancelled = True
            actions.to_cancel_linger.append(pooled)

    def _open_missing(self, now: float, actions: PoolActions[C]) -> None:
        """Open sockets for the requests that wait, and those that are to be warm."""
        available_soon = self.count(ConnectionState.OPENING, ConnectionState.LINGERING)
        wanted = self.waiters.connectable - available_soon
        free = available_soon + self._check_idle(self.warm_target, now, actions)
        for _ in range(max(wanted, self.warm_target - free)):
            if len(self.connections) >= self._max_connections:
                break
            if not self.budget.try_open(now):
                opening_at = self.budget.next_opening_at(now)
                actions.wake_at = min(opening_at, actions.wake_at or opening_at)
                break
            pooled = PooledConnection[C]()
            self.add(pooled)
            actions.to_open.append(pooled)
        self.warm_target = 0

    def _is_usable(self, pooled: PooledConnection[C], now: float) -> bool:
        connection = pooled.connection
        return (
            connection is not None
            and connection.is_open
            and now - connection.opened_at < self._max_age_s
            and now - connection.last_pong_at < self._max_pong_age_s
        )
