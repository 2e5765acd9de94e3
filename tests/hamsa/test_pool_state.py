"""Assignment: pure decisions, without a loop, on a clock that the test moves."""

from dataclasses import dataclass, field

from app.hamsa.budget import SlidingWindowBudget
from app.hamsa.pool_state import ConnectionState, PooledConnection, PoolState


@dataclass
class FakeConnection:
    is_open: bool = True
    opened_at: float = 0.0
    last_pong_at: float = 0.0


@dataclass(eq=False)
class FakeWaiter:
    allow_connect: bool = True
    is_needed_now: bool = True
    slot: PooledConnection | None = None
    gone: bool = False
    errors: list[Exception] = field(default_factory=list)

    def done(self) -> bool:
        return self.gone or self.slot is not None

    def set_result(self, slot: PooledConnection) -> None:
        self.slot = slot

    def set_exception(self, error: Exception) -> None:
        self.errors.append(error)


def slots(limit: int = 3, max_connections: int = 8) -> PoolState:
    return PoolState(
        SlidingWindowBudget(limit, 20),
        max_connections=max_connections,
        max_age_s=3300,
        max_pong_age_s=50,
    )


def wait(pool: PoolState, count: int = 1) -> list[FakeWaiter]:
    waiters = [FakeWaiter() for _ in range(count)]
    pool.waiters.extend(waiters)
    return waiters


def with_idle(pool: PoolState, **facts: float | bool) -> PooledConnection:
    slot = PooledConnection(ConnectionState.IDLE, FakeConnection(**facts))  # type: ignore[arg-type]
    pool.slots.append(slot)
    return slot


def test_the_first_waiter_has_a_socket_opened_for_it() -> None:
    pool = slots()
    wait(pool)
    actions = pool.assign(0)
    assert len(actions.opened) == 1
    assert repr(pool) == "opening=1 idle=0 leased=0 lingering=0 draining=0 waiting=1"


def test_deciding_again_opens_nothing_more() -> None:
    pool = slots()
    wait(pool)
    pool.assign(0)
    assert pool.assign(0).opened == []


def test_waiters_are_served_in_order_and_cancelled_ones_skipped() -> None:
    pool = slots()
    first, second, third = wait(pool, 3)
    first.gone = True
    slot = with_idle(pool)
    pool.assign(0)
    assert second.slot is slot
    assert third.slot is None


def test_a_cancelled_waiter_costs_no_opening() -> None:
    pool = slots()
    (waiter,) = wait(pool)
    waiter.gone = True
    assert pool.assign(0).opened == []


def test_the_socket_used_last_is_used_next() -> None:
    pool = slots()
    old = with_idle(pool)
    recent = with_idle(pool)
    pool.make_idle(old, 0)
    (waiter,) = wait(pool)
    pool.assign(0)
    assert waiter.slot is old
    assert recent.state is ConnectionState.IDLE


def test_an_idle_socket_is_leased_rather_than_a_new_one_opened() -> None:
    pool = slots()
    with_idle(pool)
    wait(pool)
    assert pool.assign(0).opened == []


def test_a_lingering_socket_is_hurried_rather_than_a_new_one_opened() -> None:
    pool = slots()
    slot = with_idle(pool)
    slot.state = ConnectionState.LINGERING
    wait(pool)
    actions = pool.assign(0)
    assert actions.linger_cancelled == [slot]
    assert actions.opened == []


def test_the_budget_bounds_the_openings_and_says_when_to_decide_again() -> None:
    pool = slots(limit=2)
    wait(pool, 5)
    actions = pool.assign(100)
    assert len(actions.opened) == 2
    assert actions.wake_at == 120
    assert len(pool.assign(120).opened) == 2


def test_there_are_never_more_sockets_than_the_maximum() -> None:
    pool = slots(limit=100, max_connections=3)
    wait(pool, 10)
    actions = pool.assign(0)
    assert len(actions.opened) == 3
    assert actions.wake_at is None, "only a socket that comes free can help"


def test_dead_old_and_silent_sockets_are_found_before_a_lease() -> None:
    pool = slots()
    dead = with_idle(pool, is_open=False, opened_at=4000, last_pong_at=4000)
    old = with_idle(pool, opened_at=600, last_pong_at=4000)
    silent = with_idle(pool, opened_at=3900, last_pong_at=3940)
    good = with_idle(pool, opened_at=3900, last_pong_at=3990)
    (waiter,) = wait(pool)
    actions = pool.assign(4000)
    assert actions.closed == [dead, old, silent]
    assert waiter.slot is good


def test_warming_up_opens_up_to_so_many_and_is_tried_once() -> None:
    pool = slots()
    with_idle(pool)
    pool.warm = 2
    assert len(pool.assign(0).opened) == 1, "one is free already"
    pool.slots.clear()
    assert pool.assign(0).opened == []
