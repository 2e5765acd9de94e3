"""A second attempt beside one that is slow, over transports that follow a script."""

import asyncio

import pytest

from app import errors
from app.transports.policy import Policy
from app.transports.resilient import ResilientTransport
from tests.transports.fakes import COMPLETE, SPEECH, TRUNCATED, FakeTransport, speak


def hedging(
    *transports: FakeTransport, hedge_after_s: float, attempts: int = 16
) -> ResilientTransport:
    policy = Policy(attempts=attempts, hedge_after_s=hedge_after_s)
    return ResilientTransport(transports, policy)


async def test_a_hedge_takes_the_other_route_when_no_audio_comes() -> None:
    first, second = FakeTransport([[asyncio.Event()]]), FakeTransport([COMPLETE])
    assert await speak(hedging(first, second, hedge_after_s=0.005)) == SPEECH
    assert first.left_by == [asyncio.CancelledError]
    assert first.open == second.open == 0


async def test_no_hedge_starts_when_the_first_attempt_is_fast_enough() -> None:
    first, second = FakeTransport([COMPLETE]), FakeTransport([])
    assert await speak(hedging(first, second, hedge_after_s=30)) == SPEECH
    assert second.texts == []


async def test_a_hedge_starts_at_once_when_the_first_attempt_fails() -> None:
    first, second = FakeTransport([TRUNCATED]), FakeTransport([COMPLETE])
    assert await speak(hedging(first, second, hedge_after_s=30)) == SPEECH


async def test_a_hedge_counts_as_an_attempt() -> None:
    first, second = FakeTransport([TRUNCATED]), FakeTransport([COMPLETE])
    with pytest.raises(errors.IncompleteAudioError):
        await speak(hedging(first, second, hedge_after_s=1e-9, attempts=1))
    assert second.texts == []
