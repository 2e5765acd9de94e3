"""What an answer is worth, with transports that follow a script."""

import pytest

from app import errors
from app.transports.resilient import ResilientTransport
from tests.transports.fakes import FakeTransport, Step, request

GOOD = [b"\x01\x00" * 8000, b"\x02\x00" * 8000, b"\x03\x00" * 8000]
SPEECH = b"".join(GOOD)
STUMP = [b"\x07\x00" * 320]  # 640 bytes and a regular end


async def speak(transport: ResilientTransport, text: str = "السلام عليكم ورحمة الله") -> bytes:
    async with transport.synthesize(request(text)) as stream:
        return b"".join([chunk async for chunk in stream])


async def test_a_good_answer_passes_unchanged() -> None:
    fake = FakeTransport([[*GOOD]])
    assert await speak(ResilientTransport([fake], attempts=3)) == SPEECH
    assert fake.left_by == [None]


async def test_a_640_byte_answer_is_dropped_unheard_and_tried_again() -> None:
    fake = FakeTransport([[*STUMP], [*STUMP], [*GOOD]])
    spoken = request()
    async with ResilientTransport([fake], attempts=3).synthesize(spoken) as stream:
        assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert [attempt.fault for attempt in spoken.attempts] == [
        "incomplete-audio",
        "incomplete-audio",
        None,
    ]
    assert fake.left_by == [errors.IncompleteAudioError, errors.IncompleteAudioError, None]


async def test_after_the_last_attempt_the_failure_is_told() -> None:
    fake = FakeTransport([[*STUMP]] * 3)
    with pytest.raises(errors.IncompleteAudioError):
        await speak(ResilientTransport([fake], attempts=3))
    assert len(fake.asked) == 3
    assert fake.open == 0


async def test_a_short_word_is_not_punished_for_being_short() -> None:
    fake = FakeTransport([[b"\x01\x00" * 4000]])  # 250 ms
    assert await speak(ResilientTransport([fake], attempts=1), "نعم.") == b"\x01\x00" * 4000


@pytest.mark.parametrize(
    "final",
    [errors.AuthenticationError, errors.QuotaExceededError, errors.RefusedError],
)
async def test_a_final_error_is_not_tried_again(final: type[errors.ProviderError]) -> None:
    fake = FakeTransport([[final("no")]])
    with pytest.raises(final):
        await speak(ResilientTransport([fake], attempts=3))
    assert len(fake.asked) == 1


async def test_a_break_before_the_proof_is_tried_again_and_nothing_of_it_is_heard() -> None:
    broken: list[Step] = [*STUMP, errors.ConnectionLostError("gone")]
    fake = FakeTransport([broken, [*GOOD]])
    assert await speak(ResilientTransport([fake], attempts=2)) == SPEECH


async def test_an_answer_that_ends_far_too_early_after_some_audio_fails_visibly() -> None:
    fake = FakeTransport([[GOOD[0]]])  # half a second for a text that needs about two
    heard = b""
    with pytest.raises(errors.IncompleteAudioError):
        async with ResilientTransport([fake], attempts=3).synthesize(request()) as stream:
            async for chunk in stream:
                heard += chunk
    assert heard == GOOD[0]
    assert fake.left_by == [errors.IncompleteAudioError], "so that the pool drops the socket"


async def test_the_transports_take_turns() -> None:
    first = FakeTransport([[*STUMP]], name="first")
    second = FakeTransport([[*GOOD]], name="second")
    assert await speak(ResilientTransport([first, second], attempts=2)) == SPEECH


async def test_the_first_chunk_that_outlasts_the_failure_is_passed_on_at_once() -> None:
    endless: list[Step] = [GOOD[0], errors.ProviderTimeoutError("stalled")]
    async with ResilientTransport([FakeTransport([endless])], attempts=1).synthesize(
        request()
    ) as stream:
        assert await anext(aiter(stream)) == GOOD[0]


async def test_it_warms_up_and_closes_all_its_ways() -> None:
    ways = [FakeTransport([]), FakeTransport([])]
    transport = ResilientTransport(ways, attempts=1)
    await transport.warm_up()
    await transport.aclose()
    assert all(way.warmed == 1 and way.closed for way in ways)
