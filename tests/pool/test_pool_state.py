"""Which request gets which socket: decided without a loop, on a clock that the test moves."""

from dataclasses import dataclass
from typing import cast

import pytest

from app.hamsa.connection import Connection
from app.pool.budget import SlidingWindowBudget
from app.pool.pool_state import ConnectionState, PooledConnection, PoolState


@dataclass
class FakeConnection:
    is_open: bool = True
    opened_at: float = 0.0
    last_pong_at: float = 0.0


@dataclass(eq=False)
class FakeWaiter:
    pooled: PooledConnection[Connection] | None = None

    def set_result(self, pooled: PooledConnection[Connection]) -> None:
        self.pooled = pooled

    def set_exception(self, error: Exception) -> None:
        raise AssertionError("no decision fails a request") from error


def make_state(limit: int = 3, max_connections: int = 8) -> PoolState[Connection]:
    return PoolState(
        SlidingWindowBudget(limit, 20),
        max_connections=max_connections,
        max_age_s=3300,
        max_pong_age_s=50,
    )


def add_waiters(state: PoolState[Connection], count: int = 1) -> list[FakeWaiter]:
    waiters = [FakeWaiter() for _ in range(count)]
    for waiter in waiters:
        state.waiters.add(waiter, is_needed_now=True, allow_connect=True)
    return waiters


def add_idle(
    state: PoolState[Connection],
    *,
    is_open: bool = True,
    opened_at: float = 0.0,
    last_pong_at: float = 0.0,
) -> PooledConnection[Connection]:
    connection = cast(Connection, FakeConnection(is_open, opened_at, last_pong_at))
    pooled = PooledConnection(ConnectionState.IDLE, connection)
    state.add(pooled)
    return pooled


def test_a_socket_is_opened_for_the_first_request() -> None:
    state = make_state()
    add_waiters(state)
    actions = state.assign(0)
    assert len(actions.to_open) == 1
    assert repr(state) == "opening=1 idle=0 leased=0 lingering=0 draining=0 waiting=1"


def test_deciding_again_opens_nothing_more() -> None:
    state = make_state()
    add_waiters(state)
    state.assign(0)
    assert state.assign(0).to_open == []


def test_requests_are_served_in_order_and_cancelled_ones_skipped() -> None:
    state = make_state()
    first, second, third = add_waiters(state, 3)
    state.waiters.remove(first)
    pooled = add_idle(state)
    state.assign(0)
    assert first.pooled is None
    assert second.pooled is pooled
    assert third.pooled is None


def test_no_socket_is_opened_for_a_cancelled_request() -> None:
    state = make_state()
    (waiter,) = add_waiters(state)
    state.waiters.remove(waiter)
    assert state.assign(0).to_open == []


def test_the_socket_used_last_is_used_next() -> None:
    state = make_state()
    old = add_idle(state)
    recent = add_idle(state)
    state.make_idle(old, 0)
    (waiter,) = add_waiters(state)
    state.assign(0)
    assert waiter.pooled is old
    assert recent.state is ConnectionState.IDLE


def test_an_idle_socket_is_leased_rather_than_a_new_one_opened() -> None:
    state = make_state()
    add_idle(state)
    add_waiters(state)
    assert state.assign(0).to_open == []


def test_a_linger_is_cancelled_rather_than_a_new_socket_opened() -> None:
    state = make_state()
    pooled = add_idle(state)
    state.begin_linger(pooled)
    add_waiters(state)
    actions = state.assign(0)
    assert actions.to_cancel_linger == [pooled]
    assert actions.to_open == []


def test_no_second_linger_is_cancelled_for_the_same_request() -> None:
    """The next decision may come before the socket of the first is idle."""
    state = make_state()
    first, second = add_idle(state), add_idle(state)
    state.begin_linger(first)
    state.begin_linger(second)
    add_waiters(state)
    (cancelled,) = state.assign(0).to_cancel_linger
    assert cancelled.linger_cancelled
    assert state.assign(0).to_cancel_linger == []
    add_waiters(state)
    (other,) = state.assign(0).to_cancel_linger
    assert [cancelled, other] == [first, second], "the one that watched longest first"


def test_a_socket_that_lingers_anew_can_be_cancelled_anew() -> None:
    state = make_state()
    pooled = add_idle(state)
    for _ in range(2):
        state.begin_linger(pooled)
        (waiter,) = add_waiters(state)
        assert state.assign(0).to_cancel_linger == [pooled]
        state.make_idle(pooled, 0)
        state.assign(0)
        assert waiter.pooled is pooled


def test_a_linger_that_is_over_is_not_cancelled() -> None:
    state = make_state()
    pooled = add_idle(state)
    state.begin_linger(pooled)
    state.make_idle(pooled, 0)
    add_waiters(state, 2)
    assert state.assign(0).to_cancel_linger == []
    assert not pooled.linger_cancelled


def test_the_budget_bounds_the_openings_and_says_when_to_decide_again() -> None:
    state = make_state(limit=2)
    add_waiters(state, 5)
    actions = state.assign(100)
    assert len(actions.to_open) == 2
    assert actions.wake_at == 120
    assert len(state.assign(120).to_open) == 2


def test_there_are_never_more_sockets_than_the_maximum() -> None:
    state = make_state(limit=100, max_connections=3)
    add_waiters(state, 10)
    actions = state.assign(0)
    assert len(actions.to_open) == 3
    assert actions.wake_at is None, "only a socket that becomes free can help"


def test_dead_old_and_silent_sockets_are_found_before_a_lease() -> None:
    state = make_state()
    good = add_idle(state, opened_at=3900, last_pong_at=3990)
    dead = add_idle(state, is_open=False, opened_at=4000, last_pong_at=4000)
    old = add_idle(state, opened_at=600, last_pong_at=4000)
    silent = add_idle(state, opened_at=3900, last_pong_at=3940)
    (waiter,) = add_waiters(state)
    actions = state.assign(4000)
    assert actions.to_close == [silent, old, dead]
    assert waiter.pooled is good


def test_a_dead_socket_behind_a_good_one_is_found_when_its_turn_comes() -> None:
    state = make_state()
    dead, good = add_idle(state, is_open=False), add_idle(state)
    (first,) = add_waiters(state)
    second, third = add_waiters(state, 2)
    actions = state.assign(0)
    assert first.pooled is good
    assert actions.to_close == [dead]
    assert second.pooled is third.pooled is None
    assert len(actions.to_open) == 2


def test_a_socket_unused_for_too_long_is_closed_though_a_request_waits() -> None:
    state = make_state()
    unneeded, recent = add_idle(state, last_pong_at=299), add_idle(state, last_pong_at=299)
    state.make_idle(recent, 200)
    assert state.assign(299).wake_at == 300
    (waiter,) = add_waiters(state)
    actions = state.assign(300)
    assert actions.to_close == [unneeded]
    assert waiter.pooled is recent
    assert actions.wake_at is None, "none is idle"


def test_warming_up_counts_free_sockets_and_is_tried_once() -> None:
    state = make_state()
    add_idle(state)
    state.warm_target = 2
    assert len(state.assign(0).to_open) == 1, "one is free already"
    state.clear()
    assert state.assign(0).to_open == []


def test_warming_up_does_not_count_sockets_that_cannot_be_used() -> None:
    state = make_state()
    add_idle(state)
    dead = add_idle(state, is_open=False)
    add_idle(state)
    state.warm_target = 3
    actions = state.assign(0)
    assert actions.to_close == [dead]
    assert len(actions.to_open) == 1


def test_a_removed_socket_is_counted_no_more_whatever_it_did() -> None:
    state = make_state()
    for doing in ConnectionState:
        pooled = add_idle(state)
        state.move(pooled, doing)
        state.remove(pooled)
        state.remove(pooled)  # harmless
    lingering = add_idle(state)
    state.begin_linger(lingering)
    state.remove(lingering)
    add_waiters(state)
    assert state.assign(0).to_cancel_linger == []
    assert repr(state) == "opening=1 idle=0 leased=0 lingering=0 draining=0 waiting=1"


@pytest.mark.parametrize("is_final", [False, True])
def test_an_opening_fails_the_first_request_it_was_for_or_all(is_final: bool) -> None:
    state = make_state()
    prefetch, patient, first, second = waiters = [FakeWaiter() for _ in range(4)]
    state.waiters.add(prefetch, is_needed_now=False, allow_connect=False)
    state.waiters.add(patient, is_needed_now=True, allow_connect=False)
    state.waiters.add(first, is_needed_now=True, allow_connect=True)
    state.waiters.add(second, is_needed_now=True, allow_connect=True)
    failed = state.waiters_to_fail(is_final=is_final)
    assert failed == ([patient, first, second, prefetch] if is_final else [first])
    assert state.counts()["waiting"] == len(waiters) - len(failed)
