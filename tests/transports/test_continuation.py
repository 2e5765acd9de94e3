"""Sentences that break in the middle, over transports that follow a script."""

import pytest
from structlog.testing import capture_logs

from app import errors
from app.transports.base import Urgency
from app.transports.policy import Policy
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


@pytest.mark.parametrize("parts", range(1, len(COMPLETE)))
@pytest.mark.parametrize("error", [LOST, errors.ProviderTimeoutError("stall")])
async def test_a_sentence_that_breaks_is_continued_and_nothing_is_delivered_twice(
    parts: int, error: errors.ProviderError
) -> None:
    first, second = FakeTransport([[*COMPLETE[:parts], error]]), FakeTransport([COMPLETE])
    assert await speak(resilient(first, second)) == SPEECH


async def test_a_sentence_that_breaks_again_and_again_is_continued_each_time() -> None:
    first = FakeTransport([[*COMPLETE[:2], LOST], [*COMPLETE[:6], LOST], COMPLETE])
    second = FakeTransport([[*COMPLETE[:4], LOST], [*COMPLETE[:8], LOST], COMPLETE])
    assert await speak(resilient(first, second)) == SPEECH


async def test_a_truncated_continuation_is_tried_again() -> None:
    first = FakeTransport([[*COMPLETE[:3], LOST], COMPLETE])
    second = FakeTransport([TRUNCATED, COMPLETE])
    assert await speak(resilient(first, second)) == SPEECH


async def test_a_stream_far_too_short_for_its_text_is_continued_though_its_end_is_regular() -> None:
    assert await speak(resilient(FakeTransport([COMPLETE[:1], COMPLETE]))) == SPEECH


async def test_a_break_without_a_continuation_is_raised_after_what_was_delivered() -> None:
    fake = FakeTransport([[*COMPLETE[:2], LOST], [LOST], [LOST]])
    delivered = b""
    with pytest.raises(errors.ConnectionLostError):
        policy = Policy(attempts=3, backoff_base_s=0)
        async with resilient(fake, policy=policy).synthesize(speech_request(), Urgency()) as stream:
            async for chunk in stream:
                delivered += chunk
    assert delivered == b"".join(part for part in COMPLETE[:2] if isinstance(part, bytes))
    assert fake.open == 0


async def test_the_log_says_which_attempt_broke_and_where() -> None:
    first = FakeTransport([TRUNCATED, COMPLETE], "first")
    second = FakeTransport([[*COMPLETE[:2], LOST], COMPLETE], "second")
    with capture_logs() as logs:
        assert await speak(resilient(first, second)) == SPEECH
    (line,) = [line for line in logs if line["event"] == "audio stream ended early"]
    assert line == {
        "event": "audio stream ended early",
        "log_level": "info",
        "transport": "second",
        "attempt": 2,
        "bytes": 25_600,
        "milliseconds": 800,
        "code": "provider-connection-lost",
    }


async def test_a_transport_that_always_breaks_in_the_middle_opens_its_breaker() -> None:
    first = FakeTransport([[*COMPLETE[:2], LOST]] * 8)
    second = FakeTransport([COMPLETE] * 8)
    transport = resilient(first, second)
    for _ in range(8):
        assert await speak(transport) == SPEECH
    assert len(first.texts) == 5


async def test_a_final_error_in_the_middle_says_nothing_about_the_route() -> None:
    fake = FakeTransport([[*COMPLETE[:2], errors.QuotaExceededError("no funds")]])
    transport = resilient(fake)
    with pytest.raises(errors.QuotaExceededError):
        await speak(transport)
    assert transport.routes[0].breaker.failure_rate == 0
