"""Audio after the end of a stream, over one socket to a provider that follows a script."""

import asyncio

import pytest

from tests.hamsa.sockets import SPEECH, websocket_transport
from tests.pool.pools import ONE_IDLE, until_pool
from tests.scripted import ACK, END, Socket, stays_open
from tests.transports.fakes import OneAttempt, chunks_of, speak

FIRST, SECOND, TRAILING = b"\x01" * 640, b"\x03" * 640, b"\x02" * 640


async def test_audio_after_the_end_is_trailing_and_aligned_with_what_came_before() -> None:
    ended = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SPEECH[:641], END)
        await ended.wait()
        await socket.send(SPEECH[641:1000], SPEECH[1000:])
        await stays_open(socket)

    async with websocket_transport(script) as (transport, pool, _):
        async with OneAttempt(transport) as stream:
            assert b"".join(await chunks_of(stream)) == SPEECH[:640]
        ended.set()
        assert stream.trailing is not None
        await stream.trailing.wait_closed()
        assert stream.trailing.drain() == SPEECH[640:]
        await until_pool(pool, ONE_IDLE)


async def test_trailing_audio_never_plays_in_the_next_sentence_and_is_counted_when_late() -> None:
    async def script(socket: Socket) -> None:
        await socket.respond(FIRST)
        await socket.request()
        await socket.send(TRAILING[:320], ACK, SECOND, END)
        await stays_open(socket)

    async with websocket_transport(script) as (transport, _, provider):
        async with OneAttempt(transport) as first:
            assert await chunks_of(first) == [FIRST]
        assert first.trailing is not None
        assert first.trailing.drain() == b""  # the next sentence begins
        assert await speak(transport) == SECOND
        assert first.metrics.late_audio_bytes == 320
        assert len(provider.sockets) == 1


@pytest.mark.parametrize("linger_cancelled", [True, False], ids=["at once", "after the linger"])
async def test_trailing_audio_of_an_abandoned_sentence_never_plays_in_the_next(
    linger_cancelled: bool,
) -> None:
    resume = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, FIRST)
        await resume.wait()
        await socket.send(END, TRAILING)
        while True:
            await socket.respond(SECOND)

    async with websocket_transport(script, limit=1) as (transport, pool, provider):
        async with OneAttempt(transport):
            pass
        task = asyncio.create_task(speak(transport)) if linger_cancelled else None
        await asyncio.sleep(0)
        resume.set()
        if task is not None:
            assert await task == SECOND
        await until_pool(pool, ONE_IDLE)
        assert await speak(transport) == SECOND
        assert len(provider.sockets) == 1


async def test_an_unknown_message_does_not_end_the_stream_of_an_abandoned_sentence() -> None:
    resume = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, '{"type":"progress","payload":{}}', FIRST)
        await resume.wait()
        await socket.send(FIRST, END)
        while True:
            await socket.respond(SECOND)

    async with websocket_transport(script, limit=1) as (transport, pool, _):
        async with OneAttempt(transport):
            pass
        assert pool.counts()["draining"] == 1
        resume.set()
        assert await speak(transport) == SECOND


async def test_a_second_end_does_not_end_the_next_sentence() -> None:
    async def script(socket: Socket) -> None:
        await socket.respond(FIRST)
        await socket.request()
        await socket.send(TRAILING, END, ACK, SECOND, END)
        await stays_open(socket)

    async with websocket_transport(script, limit=1) as (transport, _, _):
        assert await speak(transport) == FIRST
        assert await speak(transport) == SECOND
