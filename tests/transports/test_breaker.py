"""The breaker, on a clock that the test moves."""

import asyncio

from app.transports.breaker import Breaker
from app.transports.breaker_metrics import BreakerCollector
from app.transports.policy import BreakerLimits
from app.transports.resilient import ResilientTransport
from tests.transports.fakes import FakeTransport

LIMITS = BreakerLimits()


def opened_breaker(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(LIMITS.failures_to_open):
        assert breaker.try_begin(now)
        breaker.record_failure(now)
    return breaker


def test_it_opens_after_too_many_failures_in_a_row() -> None:
    breaker = opened_breaker()
    assert not breaker.is_closed
    assert not breaker.try_begin(0)


def test_a_success_in_between_keeps_it_closed() -> None:
    breaker = Breaker()
    for number in range(40):
        if number % LIMITS.failures_to_open:
            breaker.record_failure(0)
        else:
            breaker.record_success()
    assert breaker.is_closed


def test_after_the_cool_down_one_request_probes_and_the_others_wait() -> None:
    breaker = opened_breaker()
    assert not breaker.try_begin(LIMITS.cool_down_s - 0.1)
    assert breaker.try_begin(LIMITS.cool_down_s)
    assert not breaker.try_begin(LIMITS.cool_down_s)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened_breaker()
    assert breaker.try_begin(LIMITS.cool_down_s)
    breaker.record_success()
    assert breaker.is_closed
    assert breaker.try_begin(LIMITS.cool_down_s)


def test_each_probe_that_fails_doubles_the_cool_down_up_to_its_cap() -> None:
    breaker, now, pauses = opened_breaker(), 0.0, []
    for _ in range(6):
        start, now = now, breaker.next_attempt_at(now)
        pauses.append(now - start)
        assert breaker.try_begin(now)
        breaker.record_failure(now)
    assert pauses == [5, 10, 20, 40, 60, 60]
    assert LIMITS.max_cool_down_s == 60


def test_an_abandoned_probe_leaves_room_for_another() -> None:
    breaker = opened_breaker()
    assert breaker.try_begin(LIMITS.cool_down_s)
    breaker.record_abandoned()
    assert breaker.try_begin(LIMITS.cool_down_s)


def test_no_request_passes_before_a_time_that_the_provider_has_named() -> None:
    breaker = Breaker()
    breaker.block(7)
    assert not breaker.try_begin(6.9)
    assert breaker.next_attempt_at(3) == 7
    assert breaker.try_begin(7)


def test_the_failure_rate_is_that_of_recent_attempts() -> None:
    breaker = Breaker()
    assert breaker.failure_rate == 0
    breaker.record_failure(0)
    assert breaker.failure_rate == 0.1, "one failure is no rate"
    for _ in range(5):
        breaker.record_failure(0)
        breaker.record_success()
    assert breaker.failure_rate == 6 / 11
    for _ in range(20):
        breaker.record_success()
    assert breaker.failure_rate == 0


def test_a_run_of_failures_is_no_outage_until_most_recent_attempts_have_failed() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker.record_failure(0)
        breaker.record_success()
    for _ in range(LIMITS.failures_to_open):
        breaker.record_failure(0)
    assert not breaker.is_closed
    assert not breaker.is_outage
    for _ in range(7):
        breaker.record_failure(0)
    assert breaker.is_outage
    breaker.record_success()
    assert not breaker.is_outage


def test_its_state_has_a_name() -> None:
    breaker = Breaker()
    assert breaker.state(0) == "closed"
    breaker.block(2)
    assert (breaker.state(1), breaker.state(2)) == ("blocked", "closed")
    breaker = opened_breaker()
    assert breaker.state(LIMITS.cool_down_s - 0.1) == "open"
    assert breaker.state(LIMITS.cool_down_s) == "half-open"
    assert breaker.try_begin(LIMITS.cool_down_s)
    breaker.record_success()
    assert breaker.state(LIMITS.cool_down_s) == "closed"


async def test_prometheus_is_shown_one_state_of_each_transport() -> None:
    speaking = ResilientTransport([FakeTransport([])])
    for _ in range(LIMITS.failures_to_open):
        speaking.routes[0].breaker.record_failure(asyncio.get_running_loop().time())
    (family,) = BreakerCollector({"default": speaking}).collect()
    shown = {sample.labels["state"]: sample.value for sample in family.samples}
    assert shown == {"closed": 0, "blocked": 0, "open": 1, "half-open": 0}
