"""Every sentence whole, once: with transports that follow a script."""

import asyncio
from array import array

import pytest

from app import errors
from app.transports.policy import Policy
from app.transports.resilient import OUTAGE_ATTEMPTS, ResilientTransport
from tests.transports.fakes import FakeTransport, Step, request

SPEECH = array("h", range(-16000, 16000)).tobytes() * 2  # four seconds, different everywhere
GOOD: list[Step] = [SPEECH[at : at + 12800] for at in range(0, len(SPEECH), 12800)]
STUMP: list[Step] = [SPEECH[:640]]  # 640 bytes and a regular end
LOST = errors.ConnectionLostError("gone")
QUICK = Policy(backoff_base_s=0.001, backoff_cap_s=0.002)


async def speak(
    *transports: FakeTransport, policy: Policy = QUICK, text: str = "السلام عليكم ورحمة الله"
) -> bytes:
    async with ResilientTransport(transports, policy).synthesize(request(text)) as stream:
        return b"".join([chunk async for chunk in stream])


async def test_a_good_answer_passes_unchanged() -> None:
    fake = FakeTransport([GOOD])
    assert await speak(fake) == SPEECH
    assert fake.left_by == [None]


async def test_a_640_byte_answer_is_dropped_unheard_and_tried_again_elsewhere() -> None:
    first, second = FakeTransport([STUMP], "first"), FakeTransport([GOOD], "second")
    spoken = request()
    async with ResilientTransport([first, second], QUICK).synthesize(spoken) as stream:
        assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert [(a.transport, a.fault, a.delivered) for a in spoken.attempts[:2]] == [
        ("first", "incomplete-audio", False),
        ("second", None, True),
    ]
    assert first.left_by == [errors.IncompleteAudioError], "so that the pool drops the socket"


async def test_without_another_way_the_same_one_is_tried_again() -> None:
    fake = FakeTransport([STUMP, STUMP, GOOD])
    assert await speak(fake) == SPEECH


async def test_after_the_last_attempt_the_failure_is_told() -> None:
    fake = FakeTransport([STUMP] * 3)
    with pytest.raises(errors.IncompleteAudioError):
        await speak(fake, policy=Policy(attempts=3, backoff_base_s=0.001))
    assert len(fake.texts) == 3
    assert fake.open == 0


async def test_after_the_deadline_the_failure_is_told() -> None:
    fake = FakeTransport([STUMP] * 10)
    slow = Policy(attempts=10, deadline_s=0.05, backoff_base_s=60, backoff_cap_s=60)
    with pytest.raises(errors.IncompleteAudioError):
        await speak(fake, policy=slow)
    assert len(fake.texts) < 5


async def test_the_deadline_ends_an_attempt_that_is_under_way() -> None:
    fake = FakeTransport([[asyncio.Event()]])
    with pytest.raises(errors.ProviderTimeoutError):
        await speak(fake, policy=Policy(deadline_s=0.01))
    assert fake.open == 0


async def test_a_way_that_always_breaks_in_the_middle_loses_its_trust() -> None:
    first = FakeTransport([[*GOOD[:2], LOST]] * 8)
    second = FakeTransport([GOOD] * 8)
    transport = ResilientTransport([first, second], QUICK)
    for _ in range(8):
        async with transport.synthesize(request()) as stream:
            assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert len(first.texts) == 5


async def test_a_short_word_is_not_punished_for_being_short() -> None:
    word = SPEECH[: 250 * 32]
    assert await speak(FakeTransport([[word]]), text="نعم.") == word


@pytest.mark.parametrize(
    "final", [errors.AuthenticationError, errors.QuotaExceededError, errors.RefusedError]
)
async def test_a_final_error_is_told_at_once_with_its_cause(
    final: type[errors.ProviderError],
) -> None:
    first, second = FakeTransport([[final("no")]]), FakeTransport([GOOD])
    with pytest.raises(final):
        await speak(first, second)
    assert second.texts == []


@pytest.mark.parametrize("parts", range(1, len(GOOD)))
@pytest.mark.parametrize("error", [LOST, errors.ProviderTimeoutError("stall")])
async def test_an_answer_that_breaks_is_continued_and_nothing_is_heard_twice(
    parts: int, error: errors.ProviderError
) -> None:
    first, second = FakeTransport([[*GOOD[:parts], error]]), FakeTransport([GOOD])
    assert await speak(first, second) == SPEECH


async def test_an_answer_that_breaks_again_and_again_is_continued_each_time() -> None:
    first = FakeTransport([[*GOOD[:2], LOST], [*GOOD[:6], LOST], GOOD])
    second = FakeTransport([[*GOOD[:4], LOST], [*GOOD[:8], LOST], GOOD])
    assert await speak(first, second) == SPEECH


async def test_a_continuation_that_is_truncated_is_tried_again() -> None:
    first, second = FakeTransport([[*GOOD[:3], LOST], GOOD]), FakeTransport([STUMP, GOOD])
    assert await speak(first, second) == SPEECH


async def test_an_answer_far_shorter_than_its_text_is_continued_though_it_ended_regularly() -> None:
    assert await speak(FakeTransport([GOOD[:1], GOOD])) == SPEECH


async def test_a_break_that_cannot_be_continued_is_told_after_what_was_heard() -> None:
    fake = FakeTransport([[*GOOD[:2], LOST], [LOST], [LOST]])
    delivered = b""
    with pytest.raises(errors.ConnectionLostError):
        async with ResilientTransport([fake], Policy(attempts=3, backoff_base_s=0)).synthesize(
            request()
        ) as stream:
            async for chunk in stream:
                delivered += chunk
    assert delivered == b"".join(part for part in GOOD[:2] if isinstance(part, bytes))
    assert fake.open == 0


async def test_a_pool_without_a_free_socket_is_passed_over_and_is_no_attempt() -> None:
    first = FakeTransport([[errors.PoolExhaustedError("none free")]])
    second = FakeTransport([GOOD])
    spoken = request()
    async with ResilientTransport([first, second], QUICK).synthesize(spoken) as stream:
        assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert [attempt.fault for attempt in spoken.attempts] == [None]


async def test_a_way_that_asks_for_time_is_left_alone_while_the_other_speaks() -> None:
    first = FakeTransport([[errors.RateLimitedError("slow down", retry_after_s=60)], GOOD])
    second = FakeTransport([GOOD, GOOD])
    transport = ResilientTransport([first, second], QUICK)
    for _ in range(2):
        async with transport.synthesize(request()) as stream:
            assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert len(first.texts) == 1


async def test_the_only_way_is_waited_for_when_it_asks_for_time() -> None:
    fake = FakeTransport([[errors.RateLimitedError("slow down", retry_after_s=0.02)], GOOD])
    assert await speak(fake) == SPEECH


async def test_a_new_sentence_waits_as_well_when_the_only_way_has_asked_for_time() -> None:
    fake = FakeTransport([GOOD])
    transport = ResilientTransport([fake], QUICK)
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.02
    transport.routes[0].breaker.block(until)
    async with transport.synthesize(request()) as stream:
        assert loop.time() >= until
        assert b"".join([chunk async for chunk in stream]) == SPEECH


async def test_a_way_that_asks_for_time_is_left_alone_though_the_other_has_no_socket() -> None:
    none_free: list[Step] = [errors.PoolExhaustedError("none free")]
    first = FakeTransport([none_free] * 1000)
    second = FakeTransport([[errors.RateLimitedError("slow down", retry_after_s=0.05)], GOOD])
    transport = ResilientTransport([first, second], QUICK)
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    async with transport.synthesize(request()) as stream:
        assert loop.time() - began_at >= 0.049
        assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert len(second.texts) == 2


async def test_a_sentence_does_not_wait_for_what_comes_after_its_deadline() -> None:
    fake = FakeTransport([])
    transport = ResilientTransport([fake], Policy(deadline_s=0.05))
    transport.routes[0].breaker.block(asyncio.get_running_loop().time() + 60)
    with pytest.raises(errors.RateLimitedError):
        async with transport.synthesize(request()):
            raise AssertionError("nothing of it may be heard")
    assert fake.texts == []


async def test_a_way_that_fails_again_and_again_is_not_asked_first_any_more() -> None:
    first = FakeTransport([STUMP] * 20)
    second = FakeTransport([GOOD] * 40)
    transport = ResilientTransport([first, second], QUICK)
    for _ in range(12):
        async with transport.synthesize(request()) as stream:
            assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert len(first.texts) < 12
    assert "open" in repr(transport)


@pytest.mark.parametrize(("failures", "attempts"), [(5, 6), (10, OUTAGE_ATTEMPTS)])
async def test_a_sentence_is_given_up_early_in_an_outage_but_not_after_a_run_of_bad_luck(
    failures: int, attempts: int
) -> None:
    transport = ResilientTransport(
        [FakeTransport([STUMP] * 6), FakeTransport([STUMP] * 6)],
        Policy(attempts=6, backoff_base_s=0),
    )
    for route in transport.routes:
        for _ in range(failures):
            route.breaker.failed(asyncio.get_running_loop().time())
    spoken = request()
    with pytest.raises(errors.IncompleteAudioError):
        async with transport.synthesize(spoken):
            raise AssertionError("nothing of it may be heard")
    assert len(spoken.attempts) == attempts


async def test_when_much_fails_several_attempts_go_at_once_and_the_losers_are_cleaned_up() -> None:
    silent: list[Step] = [asyncio.Event()]
    first = FakeTransport([STUMP, silent, GOOD], "first")
    second = FakeTransport([silent, GOOD], "second")
    transport = ResilientTransport([first, second], QUICK)
    for route in transport.routes:  # a rate that makes the next round a race
        for _ in range(4):
            route.breaker.failed(0)
            route.breaker.succeeded()
    async with transport.synthesize(request()) as stream:
        assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert first.open == second.open == 0
    assert asyncio.CancelledError in first.left_by + second.left_by


async def test_a_hedge_goes_the_other_way_when_no_audio_comes() -> None:
    first, second = FakeTransport([[asyncio.Event()]]), FakeTransport([GOOD])
    policy = Policy(hedge_after_s=0.005)
    assert await speak(first, second, policy=policy) == SPEECH
    assert first.left_by == [asyncio.CancelledError]
    assert first.open == second.open == 0


async def test_a_hedge_costs_nothing_when_the_first_answers_in_time() -> None:
    first, second = FakeTransport([GOOD]), FakeTransport([])
    assert await speak(first, second, policy=Policy(hedge_after_s=30)) == SPEECH
    assert second.texts == []


async def test_a_hedge_goes_at_once_when_the_first_fails() -> None:
    first, second = FakeTransport([STUMP]), FakeTransport([GOOD])
    assert await speak(first, second, policy=Policy(hedge_after_s=30)) == SPEECH


@pytest.mark.parametrize("hedge_after_s", [None, 0.001])
@pytest.mark.parametrize("turns", range(1, 12))
async def test_cancelled_anywhere_it_leaves_nothing_open(
    turns: int, hedge_after_s: float | None
) -> None:
    first = FakeTransport([[*GOOD[:2], LOST], STUMP, [asyncio.Event()]])
    second = FakeTransport([STUMP, [*GOOD[:3], asyncio.Event()], GOOD, GOOD])
    before = asyncio.all_tasks()
    policy = Policy(backoff_base_s=0.001, hedge_after_s=hedge_after_s)
    task = asyncio.create_task(speak(first, second, policy=policy))
    for _ in range(turns):
        await asyncio.sleep(0.0005)
    task.cancel()
    await asyncio.wait([task])
    assert first.open == second.open == 0
    assert asyncio.all_tasks() == before


async def test_it_warms_and_closes_all_ways() -> None:
    routes = [FakeTransport([]), FakeTransport([])]
    transport = ResilientTransport(routes)
    await transport.warm_up()
    await transport.aclose()
    assert [route.warmed for route in routes] == [1, 1]
    assert all(route.closed for route in routes)
