"""How hard to try."""

import pytest

from app.transports.policy import Policy


@pytest.mark.parametrize(
    ("round", "longest"), [(1, 0), (2, 0), (3, 0.2), (4, 0.4), (5, 0.8), (7, 2), (50, 2)]
)
def test_the_pause_begins_with_the_third_round_and_stays_inside_its_cap(
    round: int, longest: float
) -> None:
    assert Policy().pause_s(round, 1.0) == pytest.approx(longest)
    assert Policy().pause_s(round, 0.5) == pytest.approx(longest / 2)
    assert Policy().pause_s(round, 0.0) == 0


@pytest.mark.parametrize(
    ("failure_rate", "count"), [(0, 1), (0.05, 1), (0.1, 2), (0.2, 2), (0.35, 3), (0.9, 3), (1, 3)]
)
def test_a_round_has_as_many_attempts_as_make_success_likely(
    failure_rate: float, count: int
) -> None:
    assert Policy().parallel_attempts(failure_rate) == count
