"""Attempts that race: one is heard, and the record says which."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from app import errors
from app.audio import AudioFormat
from app.transports.attempt import AttemptRunner, DeliveredAudio, Route, start_first_available
from app.transports.base import Attempt, AudioStream, SpeechRequest
from app.transports.breaker import COOL_DOWN_S, FAILURES_TO_OPEN, MAX_COOL_DOWN_S
from app.transports.policy import Policy
from app.transports.race import race
from app.transports.resilient import ResilientTransport
from tests.transports.fakes import FakeTransport, Step, request
from tests.transports.test_resilient import GOOD, LOST, QUICK, SPEECH, STUMP


def in_a_race(*transports: FakeTransport) -> ResilientTransport:
    """A transport whose second round is a race of three."""
    transport = ResilientTransport(transports, QUICK)
    for route in transport.routes:
        for _ in range(8):
            route.breaker.failed(0)
            route.breaker.succeeded()
    return transport


async def test_of_several_that_prove_themselves_at_once_one_counts_as_heard() -> None:
    first = FakeTransport([STUMP, GOOD], "first")
    second = FakeTransport([GOOD, GOOD], "second")
    spoken = request()
    async with in_a_race(first, second).synthesize(spoken) as stream:
        assert b"".join([chunk async for chunk in stream]) == SPEECH
    assert len(spoken.attempts) == 4
    assert sum(attempt.delivered for attempt in spoken.attempts) == 1
    assert first.open == second.open == 0


@dataclass
class Narrow(FakeTransport):
    """Comes in another format than what was asked for."""

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        async with super().synthesize(request) as stream:
            stream.format = AudioFormat("pcm_s16le", 8000)
            yield stream


async def test_the_format_of_a_loser_does_not_count_when_the_winner_is_continued() -> None:
    delivered = DeliveredAudio()
    winner = AttemptRunner(Route(FakeTransport([GOOD])), request(), delivered)
    loser = AttemptRunner(Route(Narrow([GOOD])), request(), delivered)
    again = AttemptRunner(Route(FakeTransport([GOOD])), request(), delivered)
    await winner.await_first_audio()
    await loser.await_first_audio()
    audio = winner.audio()
    first = await anext(audio)
    await again.await_first_audio()
    assert first + b"".join([chunk async for chunk in again.audio()]) == SPEECH
    for runner in (winner, loser, again):
        await runner.release()


@dataclass
class SlowToLeave(FakeTransport):
    """Gives its resources back when it is told to."""

    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        async with super().synthesize(request) as stream:
            try:
                yield stream
            finally:
                self.leaving.set()
                await self.go_on.wait()


async def test_cancelled_while_a_loser_is_given_up_the_winner_is_given_up_too() -> None:
    routes = [Route(SlowToLeave([GOOD])), Route(SlowToLeave([GOOD]))]
    candidates = [
        partial(start_first_available, [route], request(), DeliveredAudio()) for route in routes
    ]
    racing = asyncio.create_task(race(candidates))
    transports = [route.transport for route in routes if isinstance(route.transport, SlowToLeave)]
    while not any(transport.leaving.is_set() for transport in transports):
        await asyncio.sleep(0)
    racing.cancel()
    for transport in transports:
        transport.go_on.set()
    await asyncio.wait([racing])
    assert racing.cancelled()
    assert [transport.open for transport in transports] == [0, 0]


async def test_a_hedge_keeps_to_the_number_of_attempts() -> None:
    first, second = FakeTransport([STUMP]), FakeTransport([GOOD])
    policy = Policy(attempts=1, hedge_after_s=1e-9)
    with pytest.raises(errors.IncompleteAudioError):
        async with ResilientTransport([first, second], policy).synthesize(request()):
            pass
    assert second.texts == []


async def test_attempts_that_look_alike_are_told_apart() -> None:
    spoken = request()
    with spoken.attempt("websocket") as one:
        with pytest.raises(errors.PoolExhaustedError):
            with spoken.attempt("websocket"):
                raise errors.PoolExhaustedError("none free")
        assert len(spoken.attempts) == 1
        assert spoken.attempts[0] is one
    assert Attempt("rest") != Attempt("rest")


@pytest.mark.parametrize(
    ("error", "fault"),
    [(None, "none"), (LOST, LOST.code), (asyncio.CancelledError(), "abandoned")],
)
async def test_the_metrics_tell_good_attempts_from_those_that_were_given_up(
    error: BaseException | None, fault: str
) -> None:
    counted = request()
    try:
        with counted.attempt("fake"):
            if error is not None:
                raise error
    except (errors.ProviderError, asyncio.CancelledError) as raised:
        assert raised is error
    assert counted.metrics.attempts == {("fake", fault): 1}


async def test_a_final_error_in_mid_answer_says_nothing_about_the_way() -> None:
    fake = FakeTransport([[*GOOD[:2], errors.QuotaExceededError("no funds")]])
    transport = ResilientTransport([fake])
    with pytest.raises(errors.QuotaExceededError):
        async with transport.synthesize(request()) as stream:
            async for _ in stream:
                pass
    assert transport.routes[0].breaker.failure_rate == 0


async def test_what_is_no_probe_says_nothing_of_the_probe() -> None:
    never: list[Step] = [asyncio.Event()]
    fake = FakeTransport([never, never, [LOST], [LOST], never])
    suspended = Route(fake)
    exhausted = Route(FakeTransport([[errors.PoolExhaustedError("none free")]] * 9))
    now = asyncio.get_running_loop().time()
    order = [suspended, exhausted]
    before = asyncio.create_task(start_first_available(order, request(), DeliveredAudio()))
    await asyncio.sleep(0)
    for _ in range(FAILURES_TO_OPEN):
        suspended.breaker.failed(now - COOL_DOWN_S)
    probe = asyncio.create_task(start_first_available(order, request(), DeliveredAudio()))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(errors.ConnectionLostError):
            await start_first_available(order, request(), DeliveredAudio())
    in_spite = asyncio.create_task(start_first_available(order, request(), DeliveredAudio()))
    await asyncio.sleep(0)
    for abandoned in (before, in_spite):
        abandoned.cancel()
        await asyncio.wait([abandoned])
    assert len(fake.texts) == 5
    assert not suspended.breaker.try_begin(now + 2 * MAX_COOL_DOWN_S)  # the probe goes on
    probe.cancel()
    await asyncio.wait([probe])
    until = suspended.breaker.opens_at(now)
    assert until - now < 2 * COOL_DOWN_S  # and has not failed, let alone twice
    assert suspended.breaker.try_begin(until)
