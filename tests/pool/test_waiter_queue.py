"""In which order waiters are served."""

import pytest

from app.pool.waiter_queue import WaiterQueue


def make_queue(*, needed: str = "", prefetches: str = "") -> WaiterQueue[str]:
    """Return a queue of waiters of one letter each; sockets may be opened for those needed now."""
    queue = WaiterQueue[str]()
    for waiter in needed:
        queue.add(waiter, is_needed_now=True, allow_connect=True)
    for waiter in prefetches:
        queue.add(waiter, is_needed_now=False, allow_connect=False)
    return queue


def popped(queue: WaiterQueue[str]) -> str:
    return "".join(queue.pop() for _ in range(len(queue)))


def test_prefetches_come_after_what_is_needed_now() -> None:
    queue = make_queue(prefetches="pq")
    queue.add("a", is_needed_now=True, allow_connect=False)
    assert popped(queue) == "apq"


def test_a_promoted_prefetch_comes_after_those_that_users_wait_for_longer() -> None:
    queue = make_queue(prefetches="pqr", needed="a")
    queue.promote("q")
    queue.add("b", is_needed_now=True, allow_connect=True)
    assert queue.connectable == 3
    assert popped(queue) == "aqbpr"


def test_promoting_is_harmless_once_a_prefetch_waits_no_more() -> None:
    queue = make_queue(prefetches="p")
    assert queue.pop() == "p"
    queue.promote("p")
    assert len(queue) == queue.connectable == 0


def test_a_waiter_that_gave_up_is_counted_no_more() -> None:
    queue = make_queue(needed="ab", prefetches="p")
    for waiter in "apa":
        queue.remove(waiter)
    assert (len(queue), queue.connectable) == (1, 1)
    assert popped(queue) == "b"
    assert queue.connectable == 0


def test_the_first_that_may_connect_need_not_be_the_next() -> None:
    queue = WaiterQueue[str]()
    queue.add("a", is_needed_now=True, allow_connect=False)
    queue.add("b", is_needed_now=True, allow_connect=True)
    assert queue.pop_connectable() == "b"
    assert queue.pop_connectable() is None
    assert popped(queue) == "a"


def test_an_empty_queue_has_no_next() -> None:
    queue = make_queue(needed="a", prefetches="p")
    assert queue.pop_all() == ["a", "p"]
    assert (len(queue), queue.connectable) == (0, 0)
    with pytest.raises(KeyError):
        queue.pop()
