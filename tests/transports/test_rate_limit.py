"""Transports that are rate limited, by scripts."""

import asyncio

import pytest

from app import errors
from app.transports.base import Urgency
from app.transports.policy import Policy
from tests.transports.fakes import (
    COMPLETE,
    SPEECH,
    FakeTransport,
    Step,
    resilient,
    speak,
    speech_request,
)


def rate_limited(retry_after_s: float) -> list[Step]:
    return [errors.RateLimitedError("slow down", retry_after_s)]


async def test_a_rate_limited_transport_is_not_used_while_the_other_speaks() -> None:
    first = FakeTransport([rate_limited(60), COMPLETE])
    second = FakeTransport([COMPLETE, COMPLETE])
    transport = resilient(first, second)
    for _ in range(2):
        assert await speak(transport) == SPEECH
    assert len(first.texts) == 1


async def test_a_single_rate_limited_transport_is_waited_for() -> None:
    fake = FakeTransport([rate_limited(0.02), COMPLETE])
    assert await speak(resilient(fake)) == SPEECH


async def test_a_new_sentence_waits_for_a_single_rate_limited_transport_too() -> None:
    transport = resilient(FakeTransport([COMPLETE]))
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.02
    transport.routes[0].breaker.block(until)
    assert await speak(transport) == SPEECH
    assert loop.time() >= until


async def test_a_rate_limited_transport_is_not_used_though_the_other_has_no_socket() -> None:
    none_free: list[Step] = [errors.PoolExhaustedError("none free")]
    first = FakeTransport([none_free] * 1000)
    second = FakeTransport([rate_limited(0.05), COMPLETE])
    transport = resilient(first, second)
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    async with transport.synthesize(speech_request(), Urgency()):
        assert loop.time() - began_at >= 0.049
    assert len(second.texts) == 2


async def test_a_sentence_does_not_wait_beyond_its_deadline() -> None:
    fake = FakeTransport([])
    transport = resilient(fake, policy=Policy(deadline_s=0.05))
    transport.routes[0].breaker.block(asyncio.get_running_loop().time() + 59.5)
    with pytest.raises(errors.RateLimitedError) as caught:
        await speak(transport)
    assert str(caught.value) == "every transport is rate limited; next try in 60 s"
    assert fake.texts == []
