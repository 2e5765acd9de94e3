"""Which socket serves whom: the pool's decisions, without I/O.

A slot is the place of one socket in the pool:

    OPENING ──▶ IDLE ──▶ LEASED ──▶ LINGERING ──▶ IDLE      clean end
                            ├─────▶ DRAINING ───▶ LINGERING abandoned, then ended by itself
                            └─────▶ (gone)                  failed

`assign` pairs waiters with sockets and *returns* what has to be opened, closed or hurried.
"""

import asyncio
import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from app.hamsa.budget import ConnectBudget
from app.hamsa.connection import Connection

MIN_WAIT_S = 0.1
"""Only a lingering socket comes free sooner than this: answers and handshakes take longer."""


class Waiter(Protocol):
    """Somebody who waits for a slot: a future, or a stand-in for one."""

    allow_connect: bool
    """Whether a socket may be opened for it."""
    is_needed_now: bool
    """Whether somebody waits to hear what it is for; such waiters go first."""

    def done(self) -> bool:
        """Whether the waiter is served already, or gone."""

    def set_result(self, slot: "PooledConnection", /) -> None:
        """Give the waiter its slot."""

    def set_exception(self, error: Exception, /) -> None:
        """Tell the waiter that it waits in vain."""


class ConnectionState(enum.Enum):
    """What a slot is doing."""

    OPENING = enum.auto()
    IDLE = enum.auto()
    LEASED = enum.auto()
    LINGERING = enum.auto()
    DRAINING = enum.auto()


@dataclass(eq=False, slots=True)
class PooledConnection:
    """The place of one socket in the pool."""

    state: ConnectionState = ConnectionState.OPENING
    connection: Connection | None = None
    linger: asyncio.Timeout | None = None
    """Bounds the watch for late audio; moved to now when somebody waits for the socket."""
    idle_since: float = 0.0
    linger_cancelled: bool = False
    """Whether that watch was cut short, so that late audio may still come."""


@dataclass(slots=True)
class PoolActions:
    """What a decision asks the pool to do."""

    opened: list[PooledConnection] = field(default_factory=list)
    closed: list[PooledConnection] = field(default_factory=list)
    linger_cancelled: list[PooledConnection] = field(default_factory=list)
    wake_at: float | None = None
    """When to decide again if nothing happens before; None when there is no need."""


class PoolState:
    """All sockets of one key, and who waits for them.

    `max_age_s` retires a socket, `max_pong_age_s` is how long one may go without a pong, and
    `idle_timeout_s` how long one above the `floor` may go without use.
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
        self.slots: list[PooledConnection] = []
        self.waiters: deque[Waiter] = deque()
        self.warm = 0
        """How many sockets should be free ahead of need; asked once, tried once."""
        self._max_connections = max_connections
        self._max_age_s = max_age_s
        self._max_pong_age_s = max_pong_age_s
        self._idle_timeout_s = idle_timeout_s
        self._min_idle = min_idle

    def __repr__(self) -> str:
        return " ".join(f"{name}={count}" for name, count in self.counts().items())

    def counts(self) -> dict[str, int]:
        """Count the slots in each state, and who waits for one."""
        counts = {state.name.lower(): self.count(state) for state in ConnectionState}
        return {**counts, "waiting": sum(not waiter.done() for waiter in self.waiters)}

    def count(self, *states: ConnectionState) -> int:
        """Count the slots in any of these states."""
        return sum(slot.state in states for slot in self.slots)

    def assign(self, now: float) -> PoolActions:
        """Pair waiters, what is due first, with sockets; the socket used last goes first.

        So few sockets serve, and the others grow old and go. A lingering socket is hurried rather
        than a new one opened: the border between two requests is marked by the provider's `ack`.
        """
        actions = PoolActions(closed=self._take_unusable(now))
        idle = self._idle()
        while idle and (waiter := self.next_waiter()) is not None:
            slot = idle.pop()
            slot.state = ConnectionState.LEASED
            waiter.set_result(slot)
        unserved = [waiter for waiter in self.waiters if not waiter.done()]
        self.waiters = deque(unserved)
        actions.wake_at = self._next_retirement(idle)
        if unserved or self.warm:
            lingering = [slot for slot in self.slots if slot.state is ConnectionState.LINGERING]
            actions.linger_cancelled = lingering[: len(unserved)]
            ready = self.count(ConnectionState.OPENING) + len(lingering)
            wanted = sum(waiter.allow_connect for waiter in unserved) - ready
            self._open(max(wanted, self.warm - ready - len(idle)), now, actions)
            self.warm = 0
        return actions

    def cannot_be_served_within(self, now: float, acquire_timeout_s: float) -> bool:
        """Tell whether no socket can come free within `patience_s`, so that waiting is in vain."""
        if self.count(ConnectionState.LINGERING):
            return False
        if acquire_timeout_s < MIN_WAIT_S:
            return True
        if self.count(ConnectionState.OPENING, ConnectionState.LEASED, ConnectionState.DRAINING):
            return False
        return self.budget.next_opening_at(now) > now + acquire_timeout_s

    def remove(self, slot: PooledConnection) -> None:
        """Forget a slot; harmless when it is gone already."""
        if slot in self.slots:
            self.slots.remove(slot)

    def make_idle(self, slot: PooledConnection, now: float) -> None:
        """Put a slot at the front of the idle ones."""
        slot.idle_since = now
        self.slots.remove(slot)
        self.slots.append(slot)
        slot.state = ConnectionState.IDLE
        slot.linger = None

    def next_waiter(self) -> Waiter | None:
        """Take the first waiter that still waits, of those that are due if there is one."""
        waiting = [waiter for waiter in self.waiters if not waiter.done()]
        if not waiting:
            return None
        waiter = next((waiter for waiter in waiting if waiter.is_needed_now), waiting[0])
        self.waiters.remove(waiter)
        return waiter

    def waiters_to_tell(self, *, everybody: bool) -> list[Waiter]:
        """Return who learns that an opening failed: the first it may have been for, or all."""
        waiting = [waiter for waiter in self.waiters if not waiter.done()]
        if everybody:
            return waiting
        return [waiter for waiter in waiting if waiter.allow_connect][:1]

    def _idle(self) -> list[PooledConnection]:
        """Return the idle slots; the one that was used last is the last."""
        return [slot for slot in self.slots if slot.state is ConnectionState.IDLE]

    def _next_retirement(self, idle: list[PooledConnection]) -> float | None:
        """Return when the longest idle socket has been idle for too long, if it may be spared."""
        if not idle or len(self.slots) <= self._min_idle:
            return None
        return idle[0].idle_since + self._idle_timeout_s

    def _open(self, wanted: int, now: float, actions: PoolActions) -> None:
        for _ in range(wanted):
            if len(self.slots) >= self._max_connections:
                return
            if not self.budget.try_open(now):
                opening_at = self.budget.next_opening_at(now)
                actions.wake_at = min(opening_at, actions.wake_at or opening_at)
                return
            slot = PooledConnection()
            self.slots.append(slot)
            actions.opened.append(slot)

    def _take_unusable(self, now: float) -> list[PooledConnection]:
        """Remove idle sockets that are dead or old, and those above the floor that nobody uses."""
        unusable = [
            slot
            for slot in self._idle()
            if slot.connection is not None and not self._is_usable(slot.connection, now)
        ]
        for slot in unusable:
            self.slots.remove(slot)
        for slot in self._idle()[: max(0, len(self.slots) - self._min_idle)]:
            if slot.idle_since + self._idle_timeout_s > now:
                break  # those after it were used later
            self.slots.remove(slot)
            unusable.append(slot)
        return unusable

    def _is_usable(self, connection: Connection, now: float) -> bool:
        return (
            connection.is_open
            and now - connection.opened_at < self._max_age_s
            and now - connection.last_pong_at < self._max_pong_age_s
        )
