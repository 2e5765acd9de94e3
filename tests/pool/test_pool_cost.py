"""A lease costs the same however many sockets there are, and however many requests wait.

What is counted is work, not time: the bytecode instructions that run. A pass over all sockets runs
some for each, be it a loop, a comprehension, or a search by `==` as `list.remove` makes it.
"""

import asyncio
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import app.pool
from app.pool.budget import SlidingWindowBudget
from app.pool.lease import PoolLimits
from app.pool.pool import ConnectionPool
from app.pool.pool_state import ConnectionState, PooledConnection, PoolState
from app.pool.terms import LeaseTerms, Urgency
from tests.waiting import settle, until

SIZES = (10, 1000)


class FakeConnection:
    """A connection that is always sound."""

    number = requests = 0
    opened_at = last_pong_at = float("inf")
    is_open = True
    in_flight = False
    trailing = None

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def keep_alive(self, *, interval_s: float, timeout_s: float) -> None:
        await self._closed.wait()

    async def close(self) -> None:
        self._closed.set()


class Compared:
    """Is equal to itself alone, as any object, but by instructions that can be counted."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


class ComparedSocket(Compared, PooledConnection[Any]):
    pass


class ComparedWaiter(Compared):
    def set_result(self, pooled: PooledConnection[Any]) -> None:
        self.pooled = pooled

    def set_exception(self, error: Exception) -> None:
        raise AssertionError("no decision fails a request") from error


class InstructionCounter:
    """Counts the instructions that run within this context, in the files of one directory."""

    def __init__(self, directory: str = "") -> None:
        self.count = 0
        self._directory = directory

    def __enter__(self) -> "InstructionCounter":
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._directory):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self._trace


def make_state(sockets: int) -> PoolState[Any]:
    return PoolState(
        SlidingWindowBudget(10_000, 20), max_connections=sockets, max_age_s=10, max_pong_age_s=10
    )


def add_waiter(state: PoolState[Any]) -> None:
    state.waiters.add(ComparedWaiter(), is_needed_now=True, allow_connect=True)
    state.assign(0)


def add_sockets(state: PoolState[Any], doing: ConnectionState, count: int) -> Any:
    """Add sockets, all in this state; return the one in the middle."""
    sockets = [ComparedSocket(doing, FakeConnection()) for _ in range(count)]
    for pooled in sockets:
        state.add(pooled)
    return sockets[count // 2]


def lease_and_release(size: int) -> int:
    """Count the instructions of one lease, and of its release, beside idle sockets."""
    state = make_state(size)
    add_sockets(state, ConnectionState.IDLE, size)
    pooled = next(reversed(state._idle))
    with InstructionCounter() as counter:
        add_waiter(state)
        assert pooled.state is ConnectionState.LEASED
        state.make_idle(pooled, 0)
        state.assign(0)
    return counter.count


def release_to_a_waiter(size: int) -> int:
    """Count the instructions of a lease and a release where all sockets are leased, and many wait.

    A waiter in the middle gives up.
    """
    state = make_state(size)
    pooled = add_sockets(state, ConnectionState.LEASED, size)
    for _ in range(size):
        add_waiter(state)
    impatient = list(state.waiters._needed)[size // 2]
    with InstructionCounter() as counter:
        add_waiter(state)
        state.waiters.remove(impatient)
        state.make_idle(pooled, 0)
        state.assign(0)
        state.remove(pooled)
    assert len(state.waiters) == size - 1
    return counter.count


def linger_for_a_waiter(size: int) -> int:
    """Count the instructions of a lease for which one linger of many is cancelled."""
    state = make_state(size)
    pooled = add_sockets(state, ConnectionState.LEASED, size)
    for other in list(state.connections - {pooled}):
        state.begin_linger(other)
    with InstructionCounter() as counter:
        state.begin_linger(pooled)
        add_waiter(state)
        assert not state.cannot_be_served_within(0, 5)
        state.make_idle(pooled, 0)
        state.assign(0)
    assert pooled.state is ConnectionState.LEASED
    return counter.count


@pytest.mark.parametrize("case", [lease_and_release, release_to_a_waiter, linger_for_a_waiter])
def test_a_decision_costs_the_same_for_ten_sockets_and_a_thousand(
    case: Callable[[int], int],
) -> None:
    few, many = map(case, SIZES)
    assert few == many > 0


async def cost_of_a_lease(size: int) -> int:
    """Count the instructions of the pool for a lease, and for a request that waits in vain.

    The lease takes an idle socket of many. Then all are leased and as many requests wait, as a
    prefetch joins them, becomes needed, and is cancelled.
    """

    async def open_connection() -> Any:
        return FakeConnection()

    pool: ConnectionPool[Any] = ConnectionPool(open_connection, make_state(size), PoolLimits())
    await pool.start()
    pool.warm_up(size)
    await until(lambda: pool.counts()["idle"] == size, state=pool)
    release = asyncio.Event()
    counter = InstructionCounter(app.pool.__path__[0])

    async def hold(terms: LeaseTerms) -> None:
        async with pool.lease(terms):
            await release.wait()

    async with asyncio.TaskGroup() as tasks:
        with counter:
            async with pool.lease():
                assert pool._state.count(ConnectionState.IDLE) == size - 1
        for _ in range(size - 1):
            tasks.create_task(hold(LeaseTerms()))
        await settle()
        urgency = Urgency(is_needed_now=False)
        async with pool.lease():
            for _ in range(size):
                tasks.create_task(hold(LeaseTerms()))
            await settle()
            with counter:
                prefetch = tasks.create_task(hold(LeaseTerms(urgency=urgency)))
                await settle()
                urgency.set_needed_now()
                prefetch.cancel()
                await asyncio.wait([prefetch])
            assert pool.counts()["waiting"] == size
        release.set()
    await pool.aclose()
    return counter.count


async def test_a_lease_costs_the_same_for_ten_sockets_and_a_thousand() -> None:
    few, many = [await cost_of_a_lease(size) for size in SIZES]
    assert few == many > 0
