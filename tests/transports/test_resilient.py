"""Every sentence whole, once: rounds of attempts over transports that follow a script."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from app import errors
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import AudioStream, LeaseTerms, SpeechRequest, TTSTransport, Urgency
from app.transports.policy import BreakerLimits, Policy, RouteRole
from app.transports.resilient import ResilientTransport
from tests.transports.fakes import (
    COMPLETE,
    LOST,
    SPEECH,
    TRUNCATED,
    FakeTransport,
    attempts_of,
    chunks_of,
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
    attempts = await attempts_of(resilient(first, second))
    assert [(each.transport, each.fault, each.delivered) for each in attempts[:2]] == [
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
    attempts = await attempts_of(resilient(first, second))
    assert [attempt.fault for attempt in attempts] == [None]


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
        for _ in range(BreakerLimits().failures_to_open):
            route.breaker.record_failure(now)
    assert not transport.is_usable(now)
    assert transport.is_usable(now + BreakerLimits().cool_down_s)


@pytest.mark.parametrize(("failures", "attempts"), [(5, 6), (10, Policy().outage_attempts)])
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
    assert len(await attempts_of(transport, fails=errors.IncompleteAudioError)) == attempts


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


async def test_it_warms_up_all_transports_and_the_first_as_much_as_a_response_needs() -> None:
    class Broken(FakeTransport):
        async def warm_up(self, connections: int = 1) -> None:
            raise KeyError("settings")

    transports = [FakeTransport([]), Broken([]), FakeTransport([])]
    await resilient(*transports, policy=Policy(warm_connections=2)).warm_up()
    assert [each.warmed for each in transports] == [2, 0, 1]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "none"), (LOST, LOST.code), (asyncio.CancelledError(), "abandoned")],
)
async def test_the_metrics_tell_good_attempts_from_failed_and_abandoned_ones(
    error: BaseException | None, outcome: str
) -> None:
    metrics = SpeechMetrics()
    transport = FakeTransport([COMPLETE])
    speech = ResilientTransport([transport], metrics=metrics).synthesize(
        speech_request(), Urgency()
    )
    try:
        async with speech:
            await chunks_of(speech)
            if error is not None:
                raise error
    except (errors.ProviderError, asyncio.CancelledError) as raised:
        assert raised is error
    assert metrics.attempts == {("fake", outcome): 1}


async def test_each_failure_doubles_the_wait_for_a_socket_up_to_a_limit() -> None:
    terms: list[LeaseTerms] = []

    class Leasing(TTSTransport):
        name = "leasing"

        def synthesize(
            self, request: SpeechRequest, given: LeaseTerms
        ) -> AbstractAsyncContextManager[AudioStream]:
            terms.append(given)
            raise LOST

    transport = ResilientTransport(
        [Leasing(), FakeTransport([[errors.PoolExhaustedError("none")]] * 8)],
        Policy(attempts=4, backoff_base_s=0, max_parallel_attempts=1),
        roles=[RouteRole.FREE_SOCKET, RouteRole.FALLBACK],
    )
    await attempts_of(transport, fails=errors.ProviderError)
    limits = Policy().acquire
    waits = [limits.quick_s * 2**failures for failures in range(4)]
    assert [each.timeout_s for each in terms] == waits
    assert [each.allow_connect for each in terms] == [False, False, True, True]
