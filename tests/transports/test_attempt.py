"""One attempt: its record, and what the breaker of its route learns from it."""

import asyncio

import pytest

from app import errors
from app.transports.attempt import DeliveredAudio, start_first_available
from app.transports.base import Attempt
from app.transports.breaker import COOL_DOWN_S, FAILURES_TO_OPEN, MAX_COOL_DOWN_S
from app.transports.route import Route
from tests.transports.fakes import LOST, FakeTransport, Step, speech_request


async def test_attempts_with_equal_fields_are_told_apart() -> None:
    request = speech_request()
    with request.attempt("websocket") as one:
        with pytest.raises(errors.PoolExhaustedError):
            with request.attempt("websocket"):
                raise errors.PoolExhaustedError("none free")
        assert len(request.attempts) == 1
        assert request.attempts[0] is one
    assert Attempt("rest") != Attempt("rest")


@pytest.mark.parametrize(
    ("error", "fault"),
    [(None, "none"), (LOST, LOST.code), (asyncio.CancelledError(), "abandoned")],
)
async def test_the_metrics_tell_good_attempts_from_failed_and_abandoned_ones(
    error: BaseException | None, fault: str
) -> None:
    request = speech_request()
    try:
        with request.attempt("fake"):
            if error is not None:
                raise error
    except (errors.ProviderError, asyncio.CancelledError) as raised:
        assert raised is error
    assert request.metrics.attempts == {("fake", fault): 1}


async def test_an_attempt_that_is_no_probe_does_not_end_the_probe() -> None:
    never: list[Step] = [asyncio.Event()]
    fake = FakeTransport([never, never, [LOST], [LOST], never])
    suspended = Route(fake)
    exhausted = Route(FakeTransport([[errors.PoolExhaustedError("none free")]] * 9))
    now = asyncio.get_running_loop().time()
    order = [suspended, exhausted]
    before = asyncio.create_task(start_first_available(order, speech_request(), DeliveredAudio()))
    await asyncio.sleep(0)
    for _ in range(FAILURES_TO_OPEN):
        suspended.breaker.record_failure(now - COOL_DOWN_S)
    probe = asyncio.create_task(start_first_available(order, speech_request(), DeliveredAudio()))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(errors.ConnectionLostError):
            await start_first_available(order, speech_request(), DeliveredAudio())
    in_spite_of_it = asyncio.create_task(
        start_first_available(order, speech_request(), DeliveredAudio())
    )
    await asyncio.sleep(0)
    for abandoned in (before, in_spite_of_it):
        abandoned.cancel()
        await asyncio.wait([abandoned])
    assert len(fake.texts) == 5
    assert not suspended.breaker.try_begin(now + 2 * MAX_COOL_DOWN_S)  # the probe goes on
    probe.cancel()
    await asyncio.wait([probe])
    probe_at = suspended.breaker.next_attempt_at(now)
    assert probe_at - now < 2 * COOL_DOWN_S  # and has not failed, let alone twice
    assert suspended.breaker.try_begin(probe_at)
