"""A provider whose audio goes on and on: longer than its text could take, or after its end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from app import errors
from tests.hamsa.sockets import transport_over, websocket_transport
from tests.hamsa.test_tts_rest import rest_transport
from tests.net.scripted_http2 import Exchange
from tests.pool.pools import EMPTY, running_pool, until_pool
from tests.scripted import ACK, END, Socket, scripted_provider, stays_open
from tests.steps import longest_step
from tests.transports.fakes import OneAttempt, speak, speech_request

SECOND = bytes(32_000)


async def endless(send: Callable[[bytes], Awaitable[None]]) -> None:
    while True:
        await send(SECOND)
        await asyncio.sleep(0)


async def test_audio_far_longer_than_its_text_ends_the_attempt_and_closes_the_socket() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK)
        await endless(socket.send)

    async with websocket_transport(script) as (transport, pool, _):
        with pytest.raises(errors.ProtocolError, match="s of audio for this text"):
            await speak(transport, speech_request("نعم"))
        await until_pool(pool, EMPTY)


async def test_by_rest_too_and_the_stream_is_reset() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head()
        while exchange.reset_by is None:
            await exchange.send(SECOND)
            await asyncio.sleep(0)

    async with rest_transport(script) as (transport, _, server):
        with pytest.raises(errors.ProtocolError, match="s of audio for this text"):
            await speak(transport, speech_request("نعم"))
        await server.exchanges[0].until_reset()


async def test_an_abandoned_stream_is_not_drained_beyond_that() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK)
        await endless(socket.send)

    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, drain_timeout_s=60) as pool,
    ):
        async with OneAttempt(transport_over(pool), speech_request("نعم")):
            pass
        assert pool.counts()["draining"] == 1
        await until_pool(pool, EMPTY)


async def test_audio_that_goes_on_after_the_end_closes_the_socket() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SECOND, END)
        await endless(socket.send)

    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, linger_s=60) as pool,
    ):
        stream_of = OneAttempt(transport_over(pool), speech_request("نعم"))
        async with stream_of as stream:
            received = b"".join([chunk async for chunk in stream])
        assert received == SECOND
        await until_pool(pool, EMPTY)
        assert stream.trailing is not None
        assert len(stream.trailing.drain()) <= 8 * len(SECOND)


async def test_audio_that_waits_on_an_idle_socket_fails_its_next_request() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SECOND, END)
        await endless(socket.send)

    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, linger_s=0) as pool,
    ):
        transport = transport_over(pool)
        assert await speak(transport, speech_request("نعم")) == SECOND
        with pytest.raises(errors.ProtocolError, match="goes on after its end"):
            await speak(transport, speech_request("نعم"))
        await until_pool(pool, EMPTY)


async def test_a_flood_of_the_smallest_frames_leaves_the_loop_to_others() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK)
        socket.connection.transport.write(b"\x82\x00" * 50_000)  # empty binary frames
        await socket.send(SECOND, END)
        await stays_open(socket)

    async with websocket_transport(script) as (transport, _, _):
        async with longest_step() as steps:
            assert await speak(transport, speech_request("نعم")) == SECOND
        assert steps.longest_s < 1
        assert steps.count > 20


@pytest.mark.parametrize("text", ["", "لا", "5", "كم الساعة الآن؟" * 50])
def test_no_text_takes_as_long_as_the_bound(text: str) -> None:
    request = speech_request(text)
    assert request.max_duration_ms >= 10_000
    assert request.max_duration_ms >= 20 * request.min_duration_ms


async def test_a_slow_voice_may_be_allowed_longer_audio() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, *[SECOND] * 60, END)
        await stays_open(socket)

    async with scripted_provider(script) as provider, running_pool(provider.url) as pool:
        request = replace(speech_request("نعم"), max_ms_per_char=20_000)
        assert await speak(transport_over(pool), request) == SECOND * 60


async def test_less_audio_may_be_allowed_after_the_end() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SECOND, END, SECOND)
        await stays_open(socket)

    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, linger_s=60, max_trailing_audio_s=0.1) as pool,
    ):
        assert await speak(transport_over(pool), speech_request("نعم")) == SECOND
        await until_pool(pool, EMPTY)
