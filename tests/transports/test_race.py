"""Attempts that race: one is selected, and the records say which."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from app.audio import AudioFormat
from app.transports.attempt import AttemptRunner, start_first_available
from app.transports.base import AudioStream, LeaseTerms, SpeechRequest
from app.transports.race import race
from app.transports.resilient import ResilientTransport
from app.transports.route import Route
from app.transports.sentence_attempts import SentenceAttempts
from tests.transports.fakes import (
    COMPLETE,
    SPEECH,
    TRUNCATED,
    FakeTransport,
    Step,
    attempts_of,
    resilient,
    speak,
    speech_request,
)
from tests.waiting import until


def racing_transport(*transports: FakeTransport) -> ResilientTransport:
    """A transport whose second round is a race of three."""
    transport = resilient(*transports)
    for route in transport.routes:
        for _ in range(8):
            route.breaker.record_failure(0)
            route.breaker.record_success()
    return transport


async def test_of_several_attempts_with_usable_audio_at_once_one_counts_as_delivered() -> None:
    first = FakeTransport([TRUNCATED, COMPLETE], "first")
    second = FakeTransport([COMPLETE, COMPLETE], "second")
    attempts = await attempts_of(racing_transport(first, second))
    assert len(attempts) == 4
    assert sum(attempt.delivered for attempt in attempts) == 1
    assert first.open == second.open == 0


async def test_when_much_fails_several_attempts_start_at_once_and_the_others_are_released() -> None:
    silent: list[Step] = [asyncio.Event()]
    first = FakeTransport([TRUNCATED, silent, COMPLETE], "first")
    second = FakeTransport([silent, COMPLETE], "second")
    assert await speak(racing_transport(first, second)) == SPEECH
    assert first.open == second.open == 0
    assert asyncio.CancelledError in first.left_by + second.left_by


@dataclass
class NarrowbandTransport(FakeTransport):
    """Speaks in another format than the requested one."""

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        async with super().synthesize(request, terms) as stream:
            stream.format = AudioFormat("pcm_s16le", 8000)
            yield stream


async def test_only_the_format_of_the_selected_attempt_counts_for_its_continuation() -> None:
    sentence = SentenceAttempts(speech_request())
    selected = AttemptRunner(Route(FakeTransport([COMPLETE])), sentence)
    other = AttemptRunner(Route(NarrowbandTransport([COMPLETE])), sentence)
    continuation = AttemptRunner(Route(FakeTransport([COMPLETE])), sentence)
    await selected.await_first_audio()
    await other.await_first_audio()
    audio = selected.audio()
    first = await anext(audio)
    await continuation.await_first_audio()
    assert first + b"".join([chunk async for chunk in continuation.audio()]) == SPEECH
    for runner in (selected, other, continuation):
        await runner.release()


@dataclass
class SlowToRelease(FakeTransport):
    """Releases its resources when it is told to."""

    releasing: asyncio.Event = field(default_factory=asyncio.Event)
    resume: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        async with super().synthesize(request, terms) as stream:
            try:
                yield stream
            finally:
                self.releasing.set()
                await self.resume.wait()


async def test_cancelled_while_others_are_released_the_selected_attempt_is_released_too() -> None:
    routes = [Route(SlowToRelease([COMPLETE])), Route(SlowToRelease([COMPLETE]))]
    candidates = [
        partial(start_first_available, [route], SentenceAttempts(speech_request()))
        for route in routes
    ]
    racing = asyncio.create_task(race(candidates))
    transports = [route.transport for route in routes if isinstance(route.transport, SlowToRelease)]
    await until(lambda: any(each.releasing.is_set() for each in transports), state=transports)
    racing.cancel()
    for transport in transports:
        transport.resume.set()
    await asyncio.wait([racing])
    assert racing.cancelled()
    assert [transport.open for transport in transports] == [0, 0]
