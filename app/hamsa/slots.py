"""Which socket serves whom: the pool's decisions, without I/O.

A slot is the place of one socket in the pool:

    OPENING ──▶ IDLE ──▶ LEASED ──▶ LINGERING ──▶ IDLE      clean end
                            ├─────▶ DRAINING ───▶ IDLE      abandoned, then ended by itself
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


class Waiter(Protocol):
    """Somebody who waits for a slot: a future, or a stand-in for one."""

    def done(self) -> bool:
        """Whether the waiter is served already, or gone."""

    def set_result(self, slot: "Slot", /) -> None:
        """Give the waiter its slot."""

    def set_exception(self, error: Exception, /) -> None:
        """Tell the waiter that it waits in vain."""


class State(enum.Enum):
    """What a slot is doing."""

    OPENING = enum.auto()
    IDLE = enum.auto()
    LEASED = enum.auto()
    LINGERING = enum.auto()
    DRAINING = enum.auto()


@dataclass(eq=False, slots=True)
class Slot:
    """The place of one socket in the pool."""

    state: State = State.OPENING
    connection: Connection | None = None
    linger: asyncio.Timeout | None = None
    """Bounds the watch for late audio; moved to now when somebody waits for the socket."""
    hurried: bool = False
    """Whether that watch was cut short, so that late audio may still come."""


@dataclass(slots=True)
class Actions:
    """What a decision asks the pool to do."""

    opened: list[Slot] = field(default_factory=list)
    closed: list[Slot] = field(default_factory=list)
    hurried: list[Slot] = field(default_factory=list)
    wake_at: float | None = None
    """When to decide again if nothing happens before; None when there is no need."""


class Slots:
    """All sockets of one key, and who waits for them.

    `max_age_s` retires a socket, `max_pong_age_s` is how long one may go without a pong.
    """

    def __init__(
        self,
        budget: ConnectBudget,
        *,
        max_connections: int,
        max_age_s: float,
        max_pong_age_s: float,
    ) -> None:
        self.budget = budget
        self.slots: list[Slot] = []
        self.waiters: deque[Waiter] = deque()
        self.warm = 0
        """How many sockets there should be ahead of need; asked once, tried once."""
        self._max_connections = max_connections
        self._max_age_s = max_age_s
        self._max_pong_age_s = max_pong_age_s

    def __repr__(self) -> str:
        counts = " ".join(f"{state.name.lower()}={self.count(state)}" for state in State)
        waiting = sum(not waiter.done() for waiter in self.waiters)
        return f"{counts} waiting={waiting}"

    def count(self, *states: State) -> int:
        """Count the slots in any of these states."""
        return sum(slot.state in states for slot in self.slots)

    def assign(self, now: float) -> Actions:
        """Pair waiters, in order, with sockets; the socket used last goes first.

        So few sockets serve, and the others grow old and go. A lingering socket is hurried rather
        than a new one opened: the border between two requests is marked by the provider's `ack`.
        """
        actions = Actions(closed=self._take_unusable(now))
        for slot in [slot for slot in reversed(self.slots) if slot.state is State.IDLE]:
            if (waiter := self.next_waiter()) is None:
                break
            slot.state = State.LEASED
            waiter.set_result(slot)
        unserved = sum(not waiter.done() for waiter in self.waiters)
        actions.hurried = [s for s in self.slots if s.state is State.LINGERING][:unserved]
        ready = self.count(State.OPENING, State.LINGERING)
        self._open(max(unserved - ready, self.warm - len(self.slots)), now, actions)
        self.warm = 0
        return actions

    def remove(self, slot: Slot) -> None:
        """Forget a slot; harmless when it is gone already."""
        if slot in self.slots:
            self.slots.remove(slot)

    def make_idle(self, slot: Slot) -> None:
        """Put a slot at the front of the idle ones."""
        self.slots.remove(slot)
        self.slots.append(slot)
        slot.state = State.IDLE
        slot.linger = None

    def next_waiter(self) -> Waiter | None:
        """Take the first waiter that still waits; those that are served or gone are skipped."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _open(self, wanted: int, now: float, actions: Actions) -> None:
        for _ in range(wanted):
            if len(self.slots) >= self._max_connections:
                return
            if not self.budget.try_open(now):
                actions.wake_at = self.budget.next_opening_at(now)
                return
            slot = Slot()
            self.slots.append(slot)
            actions.opened.append(slot)

    def _take_unusable(self, now: float) -> list[Slot]:
        unusable = [
            slot
            for slot in self.slots
            if slot.state is State.IDLE
            and slot.connection is not None
            and not self._is_usable(slot.connection, now)
        ]
        for slot in unusable:
            self.slots.remove(slot)
        return unusable

    def _is_usable(self, connection: Connection, now: float) -> bool:
        return (
            connection.is_open
            and now - connection.opened_at < self._max_age_s
            and now - connection.last_pong_at < self._max_pong_age_s
        )
