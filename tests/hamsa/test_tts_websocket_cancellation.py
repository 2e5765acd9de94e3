"""A sentence over one socket that is cancelled, or whose pool is closed."""

import asyncio

import pytest

from app import errors
from tests.hamsa.sockets import SPEECH, websocket_transport
from tests.pool.pools import EMPTY, ONE_IDLE, until_pool, until_waiting
from tests.scripted import ACK, END, Socket, responds, stays_open
from tests.transports.fakes import OneAttempt, chunks_of, speak
from tests.waiting import until


async def cancel(task: asyncio.Task[bytes]) -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_cancelling_while_a_socket_opens_leaves_the_socket_to_others() -> None:
    async with websocket_transport(responds(SPEECH)) as (transport, pool, provider):
        task = asyncio.create_task(speak(transport))
        await asyncio.sleep(0)
        assert pool.counts()["opening"] == 1
        await cancel(task)
        await until_pool(pool, ONE_IDLE)
        assert await speak(transport) == SPEECH
        assert len(provider.sockets) == 1


async def test_cancelling_while_all_sockets_are_leased_leaves_no_waiting_request() -> None:
    async with websocket_transport(responds(SPEECH), limit=1) as (transport, pool, _):
        async with OneAttempt(transport):
            task = asyncio.create_task(speak(transport))
            await until_waiting(pool)
            await cancel(task)
            assert pool.counts()["waiting"] == 0
        await until_pool(pool, ONE_IDLE)


@pytest.mark.parametrize("stage", ["sent", "acknowledged", "streaming", "ended"])
async def test_cancelling_at_any_stage_drains_the_socket_and_it_is_used_again(
    stage: str,
) -> None:
    reached, resume = asyncio.Event(), asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.request()
        steps: dict[str, list[str | bytes]] = {
            "sent": [],
            "acknowledged": [ACK],
            "streaming": [b"\x01" * 640, b"\x01" * 640],
            "ended": [END],
        }
        for name, frames in steps.items():
            if name == "ended" != stage:
                await resume.wait()
            await socket.send(*frames)
            if name == stage:
                reached.set()
                await resume.wait()
        while True:
            await socket.respond(SPEECH)

    async def speak_and_stay(received: list[bytes]) -> bytes:
        async with OneAttempt(transport) as stream:
            async for chunk in stream:
                received.append(chunk)  # noqa: PERF401 - what came before the cancellation counts
            await asyncio.Event().wait()  # the sentence is over, and its context is not left
        return b""

    received: list[bytes] = []
    async with websocket_transport(script) as (transport, pool, provider):
        task = asyncio.create_task(speak_and_stay(received))
        await reached.wait()
        chunks = 2 if stage in ("streaming", "ended") else 0
        await until(lambda: len(received) >= chunks, state=pool)
        await asyncio.sleep(0)
        assert pool.counts()["leased"] == 1
        await cancel(task)
        assert pool.counts()["leased"] == 0
        resume.set()
        await until_pool(pool, ONE_IDLE)
        assert await speak(transport) == SPEECH
        assert len(provider.sockets) == 1


async def test_closing_the_pool_during_a_sentence_is_a_lost_connection() -> None:
    async def script(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, SPEECH)
        await stays_open(socket)

    async with websocket_transport(script) as (transport, pool, provider):
        with pytest.raises(errors.ConnectionLostError):
            async with OneAttempt(transport) as stream:
                await asyncio.gather(chunks_of(stream), pool.aclose())
        assert repr(pool) == EMPTY
        await provider.until_open(0)


async def test_a_sentence_can_be_left_while_the_pool_closes() -> None:
    async with websocket_transport(responds(SPEECH)) as (transport, pool, provider):
        async with OneAttempt(transport) as stream:
            await chunks_of(stream)
            closing = asyncio.create_task(pool.aclose())
            await asyncio.sleep(0)
        await closing
        assert repr(pool) == EMPTY
        await provider.until_open(0)
