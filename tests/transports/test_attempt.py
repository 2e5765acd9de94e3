"""One attempt: its record, and what the breaker of its route learns from it."""

import asyncio

import pytest

from app import errors
from app.transports.attempt import start_first_available
from app.transports.base import Attempt
from app.transports.policy import BreakerLimits
from app.transports.route import Route
from app.transports.sentence_attempts import SentenceAttempts
from tests.transports.fakes import LOST, FakeTransport, Step, speech_request

LIMITS = BreakerLimits()


def test_attempts_with_equal_fields_are_told_apart() -> None:
    assert Attempt("rest") != Attempt("rest")


async def test_an_attempt_that_is_no_probe_does_not_end_the_probe() -> None:
    never: list[Step] = [asyncio.Event()]
    fake = FakeTransport([never, never, [LOST], [LOST], never])
    suspended = Route(fake)
    exhausted = Route(FakeTransport([[errors.PoolExhaustedError("none free")]] * 9))
    now = asyncio.get_running_loop().time()
    order = [suspended, exhausted]
    before = asyncio.create_task(start_first_available(order, SentenceAttempts(speech_request())))
    await asyncio.sleep(0)
    for _ in range(LIMITS.failures_to_open):
        suspended.breaker.record_failure(now - LIMITS.cool_down_s)
    probe = asyncio.create_task(start_first_available(order, SentenceAttempts(speech_request())))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(errors.ConnectionLostError):
            await start_first_available(order, SentenceAttempts(speech_request()))
    in_spite_of_it = asyncio.create_task(
        start_first_available(order, SentenceAttempts(speech_request()))
    )
    await asyncio.sleep(0)
    for abandoned in (before, in_spite_of_it):
        abandoned.cancel()
        await asyncio.wait([abandoned])
    assert len(fake.texts) == 5
    assert not suspended.breaker.try_begin(now + 2 * LIMITS.max_cool_down_s)  # the probe goes on
    probe.cancel()
    await asyncio.wait([probe])
    probe_at = suspended.breaker.next_attempt_at(now)
    assert probe_at - now < 2 * LIMITS.cool_down_s  # and has not failed, let alone twice
    assert suspended.breaker.try_begin(probe_at)
