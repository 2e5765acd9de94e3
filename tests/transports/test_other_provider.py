"""Sentences that one provider does not speak, and another does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from app import errors
from app.audio import PCM16_16K, AudioFormat
from app.audio.resample import resample
from app.transports.base import AudioStream, LeaseTerms, SpeechRequest, Urgency
from app.transports.breaker import Breaker
from app.transports.policy import BreakerLimits, Policy
from app.transports.route import Route
from tests.transports.fakes import (
    COMPLETE,
    LOST,
    SPEECH,
    FakeTransport,
    Step,
    attempts_of,
    chunks_of,
    resilient,
    speak,
    speech_request,
)

FINAL = [errors.AuthenticationError, errors.QuotaExceededError, errors.RefusedError]
NOTHING_FREE: list[Step] = [errors.PoolExhaustedError("none free")]


@dataclass
class Hamsa(FakeTransport):
    provider: str = "hamsa"


@dataclass
class Wideband(FakeTransport):
    """Speaks at 24 kHz."""

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        async with super().synthesize(request, terms) as stream:
            stream.format = AudioFormat("pcm_s16le", 24_000)
            yield stream


@pytest.mark.parametrize("final", FINAL)
async def test_what_one_provider_refuses_another_speaks_after_one_attempt(
    final: type[errors.ProviderError],
) -> None:
    refused: list[Step] = [final("no")]
    socket, rest = Hamsa([refused], "websocket"), Hamsa([refused], "rest")
    other = FakeTransport([COMPLETE], "other")
    attempts = await attempts_of(resilient(socket, rest, other))
    assert [(each.transport, each.fault) for each in attempts] == [
        ("websocket", final.code),
        ("other", None),
    ]
    assert rest.texts == []


async def test_when_all_providers_refuse_the_last_refusal_is_told() -> None:
    first = FakeTransport([[errors.AuthenticationError("key")]], "first")
    second = FakeTransport([[errors.QuotaExceededError("funds")]], "second")
    with pytest.raises(errors.QuotaExceededError):
        await speak(resilient(first, second))


@pytest.mark.parametrize(
    ("final", "left_alone"), [(FINAL[0], True), (FINAL[1], True), (FINAL[2], False)]
)
async def test_a_provider_that_refuses_the_key_is_left_alone_for_a_while_but_not_one_text(
    final: type[errors.ProviderError], left_alone: bool
) -> None:
    first = Hamsa([[final("no")], COMPLETE], "websocket")
    transport = resilient(first, FakeTransport([COMPLETE] * 2, "other"))
    for _ in range(2):
        assert await speak(transport) == SPEECH
    assert len(first.texts) == (1 if left_alone else 2)


async def test_it_is_left_alone_for_longer_each_time_until_it_speaks() -> None:
    limits = BreakerLimits()
    route = Route(Hamsa([], "websocket"), limits=limits)
    refusal = errors.AuthenticationError("key")
    waits = []
    for _ in range(6):
        route.breaker = Breaker(limits)
        route.on_refusal(refusal)
        now = asyncio.get_running_loop().time()
        waits.append(round(route.breaker.blocked_until(now) - now))
    assert waits == [5, 10, 20, 40, 60, 60]
    route.on_spoken(1000, 10)
    route.breaker = Breaker(limits)
    route.on_refusal(refusal)
    now = asyncio.get_running_loop().time()
    assert route.breaker.blocked_until(now) - now <= limits.cool_down_s


async def test_a_refusal_in_the_middle_is_continued_by_another_provider() -> None:
    first = Hamsa([[*COMPLETE[:3], errors.QuotaExceededError("funds")]])
    assert await speak(resilient(first, FakeTransport([COMPLETE], "other"))) == SPEECH


async def test_after_a_failure_the_route_after_the_failed_one_is_next() -> None:
    socket, rest = Hamsa([NOTHING_FREE] * 3, "websocket"), Hamsa([[LOST]] * 3, "rest")
    other = FakeTransport([COMPLETE], "other")
    attempts = await attempts_of(resilient(socket, rest, other))
    assert [each.transport for each in attempts] == ["rest", "other"]


async def test_a_continuation_is_converted_to_the_format_of_what_was_delivered() -> None:
    part = SPEECH[: 2 * 12_800]
    wide = resample(SPEECH, 16_000, 24_000)
    first = FakeTransport([[part, LOST]], "first")
    second = Wideband([[wide[at : at + 9600] for at in range(0, len(wide), 9600)]], "second")
    transport = resilient(first, second)
    async with transport.synthesize(speech_request(), Urgency()) as speech:
        assert speech.format == PCM16_16K
        audio = b"".join(await chunks_of(speech))
    assert abs(len(audio) - len(SPEECH)) <= 0.15 * 2 * 32_000
    assert audio[: len(part)] == part


async def test_a_continuation_by_a_faster_voice_begins_at_the_same_words() -> None:
    """The other voice speaks twice as fast: a second of the first one is half of its second."""
    fast = SPEECH[: len(SPEECH) // 2]
    first = FakeTransport([COMPLETE, [*COMPLETE[:4], LOST]], "first")
    second = FakeTransport([[fast], [fast]], "second")
    transport = resilient(first, second, policy=Policy(attempts=4, backoff_base_s=0))
    assert await speak(transport) == SPEECH
    duration_ms = PCM16_16K.duration_ms(len(fast))
    transport.routes[1].on_spoken(duration_ms, speech_request().speakable_chars)
    audio = await speak(transport)
    delivered = sum(len(part) for part in COMPLETE[:4] if isinstance(part, bytes))
    window = 0.15 * 2 * 32_000
    assert len(audio) == pytest.approx(delivered + len(fast) - delivered // 2, abs=window)
