"""The sliding window, on a clock that the test moves."""

from app.pool.budget import SlidingWindowBudget


def test_no_window_holds_more_openings_than_the_limit() -> None:
    budget = SlidingWindowBudget(3, 20)
    opened = [now for now in range(100) if budget.try_open(float(now))]
    assert opened == [0, 1, 2, 20, 21, 22, 40, 41, 42, 60, 61, 62, 80, 81, 82]


def test_it_tells_when_the_next_permit_is_available() -> None:
    budget = SlidingWindowBudget(1, 20)
    assert budget.next_opening_at(5) == 5
    assert budget.try_open(5)
    assert budget.next_opening_at(6) == 25
    assert budget.next_opening_at(25) == 25


def test_a_penalty_refuses_permits_though_some_are_left() -> None:
    budget = SlidingWindowBudget(3, 20)
    budget.penalize(10, 5)
    assert not budget.try_open(14.9)
    assert budget.next_opening_at(11) == 15
    assert budget.try_open(15)


def test_a_shorter_penalty_does_not_end_a_longer_one() -> None:
    budget = SlidingWindowBudget(3, 20)
    budget.penalize(0, 10)
    budget.penalize(1, 1)
    assert budget.next_opening_at(2) == 10


def test_it_tells_how_many_sockets_may_be_opened() -> None:
    budget = SlidingWindowBudget(2, 20)
    assert budget.openings_left(0) == 2
    budget.try_open(0)
    assert budget.openings_left(0) == 1
    budget.penalize(0, for_s=5)
    assert (budget.openings_left(4), budget.openings_left(5)) == (0, 1)
    assert budget.openings_left(20) == 2
