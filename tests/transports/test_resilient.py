"""Every sentence whole, once: rounds of attempts over transports that follow a script."""

import asyncio

import pytest

from app import errors
from app.transports.breaker import COOL_DOWN_S, FAILURES_TO_OPEN
from app.transports.policy import Policy
from app.transports.resilient import OUTAGE_ATTEMPTS
from tests.transports.fakes import (
    COMPLETE,
    LOST,
    SPEECH,
    TRUNCATED,
    FakeTransport,
    resilient,
    speak,
    speech_request,
)


async def test_a_complete_stream_passes_unchanged() -> None:
    fake = FakeTransport([COMPLETE])
    assert await speak(resilient(fake)) == SPEECH
    assert fake.left_by == [None]


async def test_a_truncated_stream_is_not_delivered_and_another_transport_is_tried() -> None:
    first, second = FakeTransport([TRUNCATED], "first"), FakeTransport([COMPLETE], "second")
    request = speech_request()
    assert await speak(resilient(first, second), request) == SPEECH
    assert [(each.transport, each.fault, each.delivered) for each in request.attempts[:2]] == [
        ("first", "incomplete-audio", False),
        ("second", None, True),
    ]
    assert first.left_by == [errors.IncompleteAudioError], "so that the pool closes the socket"


async def test_a_single_transport_is_tried_again() -> None:
    fake = FakeTransport([TRUNCATED, TRUNCATED, COMPLETE])
    assert await speak(resilient(fake)) == SPEECH


async def test_after_the_last_attempt_its_error_is_raised() -> None:
    fake = FakeTransport([TRUNCATED] * 3)
    with pytest.raises(errors.IncompleteAudioError):
        await speak(resilient(fake, policy=Policy(attempts=3, backoff_base_s=0.001)))
    assert len(fake.texts) == 3
    assert fake.open == 0


async def test_after_the_deadline_the_last_error_is_raised() -> None:
    fake = FakeTransport([TRUNCATED] * 10)
    slow = Policy(attempts=10, deadline_s=0.05, backoff_base_s=60, backoff_cap_s=60)
    with pytest.raises(errors.IncompleteAudioError):
        await speak(resilient(fake, policy=slow))
    assert len(fake.texts) < 5


async def test_the_deadline_ends_an_attempt_that_is_under_way() -> None:
    fake = FakeTransport([[asyncio.Event()]])
    with pytest.raises(errors.ProviderTimeoutError):
        await speak(resilient(fake, policy=Policy(deadline_s=0.01)))
    assert fake.open == 0


async def test_a_short_word_is_complete_though_it_is_short() -> None:
    word = SPEECH[: 250 * 32]
    assert await speak(resilient(FakeTransport([[word]])), speech_request("نعم.")) == word


@pytest.mark.parametrize(
    "final", [errors.AuthenticationError, errors.QuotaExceededError, errors.RefusedError]
)
async def test_a_final_error_is_raised_at_once(final: type[errors.ProviderError]) -> None:
    first, second = FakeTransport([[final("no")]]), FakeTransport([COMPLETE])
    with pytest.raises(final):
        await speak(resilient(first, second))
    assert second.texts == []


async def test_a_pool_without_a_free_socket_is_passed_over_and_is_no_attempt() -> None:
    first = FakeTransport([[errors.PoolExhaustedError("none free")]])
    second = FakeTransport([COMPLETE])
    request = speech_request()
    assert await speak(resilient(first, second), request) == SPEECH
    assert [attempt.fault for attempt in request.attempts] == [None]


async def test_a_transport_that_fails_again_and_again_is_not_tried_first_any_more() -> None:
    first = FakeTransport([TRUNCATED] * 20)
    second = FakeTransport([COMPLETE] * 40)
    transport = resilient(first, second)
    for _ in range(12):
        assert await speak(transport) == SPEECH
    assert len(first.texts) < 12
    assert "open" in repr(transport)


async def test_it_is_usable_while_any_transport_is_and_again_after_a_cool_down() -> None:
    """Without that, nobody would be let in who could find out that the provider is back."""
    first, second = FakeTransport([]), FakeTransport([])
    transport = resilient(first, second)
    now = asyncio.get_running_loop().time()
    assert transport.is_usable(now)
    for route in transport.routes:
        assert transport.is_usable(now)
        for _ in range(FAILURES_TO_OPEN):
            route.breaker.record_failure(now)
    assert not transport.is_usable(now)
    assert transport.is_usable(now + COOL_DOWN_S)


@pytest.mark.parametrize(("failures", "attempts"), [(5, 6), (10, OUTAGE_ATTEMPTS)])
async def test_a_sentence_fails_early_in_an_outage_but_not_after_a_run_of_bad_luck(
    failures: int, attempts: int
) -> None:
    transport = resilient(
        FakeTransport([TRUNCATED] * 6),
        FakeTransport([TRUNCATED] * 6),
        policy=Policy(attempts=6, backoff_base_s=0),
    )
    for route in transport.routes:
        for _ in range(failures):
            route.breaker.record_failure(asyncio.get_running_loop().time())
    request = speech_request()
    with pytest.raises(errors.IncompleteAudioError):
        await speak(transport, request)
    assert len(request.attempts) == attempts


@pytest.mark.parametrize("hedge_after_s", [None, 0.001])
@pytest.mark.parametrize("turns", range(1, 12))
async def test_cancelled_anywhere_it_leaves_nothing_open(
    turns: int, hedge_after_s: float | None
) -> None:
    first = FakeTransport([[*COMPLETE[:2], LOST], TRUNCATED, [asyncio.Event()]])
    second = FakeTransport([TRUNCATED, [*COMPLETE[:3], asyncio.Event()], COMPLETE, COMPLETE])
    before = asyncio.all_tasks()
    policy = Policy(backoff_base_s=0.001, hedge_after_s=hedge_after_s)
    task = asyncio.create_task(speak(resilient(first, second, policy=policy)))
    for _ in range(turns):
        await asyncio.sleep(0.0005)
    task.cancel()
    await asyncio.wait([task])
    assert first.open == second.open == 0
    assert asyncio.all_tasks() == before


async def test_it_warms_up_and_closes_all_transports() -> None:
    transports = [FakeTransport([]), FakeTransport([])]
    transport = resilient(*transports)
    await transport.warm_up()
    await transport.aclose()
    assert [each.warmed for each in transports] == [1, 1]
    assert all(each.closed for each in transports)
