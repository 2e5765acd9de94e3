"""What becomes of a socket after its lease: idle again, lingering, draining, or closed."""

import asyncio

import pytest

from app import errors
from app.hamsa import wire
from app.hamsa.connection import Connection
from app.pool.lease import Lease
from tests.pool.pools import EMPTY, ONE_IDLE, frames_of_request, running_pool, until_pool
from tests.scripted import ACK, END, Socket, error, responds, scripted_provider, stays_open

regular = responds(b"\x00" * 640)


class RecordingSink:
    """Keeps the trailing audio."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = asyncio.Event()

    def put(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed.set()


async def read_to_the_end(lease: Lease[Connection], sink: RecordingSink) -> None:
    """Send a request and read its stream; `sink` takes the trailing audio."""
    await lease.connection.send(b"{}")
    while lease.connection.in_flight:
        await lease.connection.receive()
    lease.connection.trailing = sink


async def test_a_refused_voice_costs_no_socket() -> None:
    async def refuses_once(socket: Socket) -> None:
        await socket.request()
        await socket.send(error("Voice not owned by user"))
        await regular(socket)

    async with scripted_provider(refuses_once) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.RefusedError):
            async with pool.lease() as lease:
                await lease.connection.send(b"{}")
                frame = await lease.connection.receive()
                assert isinstance(frame, wire.Failure)
                raise frame.error
        await until_pool(pool, ONE_IDLE)
        await frames_of_request(pool)
        assert len(provider.sockets) == 1


async def test_an_abandoned_stream_is_drained_and_its_socket_is_used_again() -> None:
    resume = asyncio.Event()

    async def long_stream(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, b"\x01" * 320)
        await resume.wait()
        await socket.send(b"\x01" * 320, END)
        await regular(socket)

    async with scripted_provider(long_stream) as provider, running_pool(provider.url) as pool:
        async with pool.lease() as lease:
            await lease.connection.send(b"{}")
            assert isinstance(await lease.connection.receive(), wire.Ack)
        assert pool.counts()["draining"] == 1
        resume.set()
        await until_pool(pool, ONE_IDLE)
        assert wire.Audio(b"\x01" * 320) not in await frames_of_request(pool)
        assert len(provider.sockets) == 1


async def test_a_drain_that_takes_too_long_closes_the_socket() -> None:
    async def silent(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK)
        await stays_open(socket)

    async with (
        scripted_provider(silent) as provider,
        running_pool(provider.url, drain_timeout_s=0.05) as pool,
    ):
        async with pool.lease() as lease:
            await lease.connection.send(b"{}")
        await until_pool(pool, EMPTY)
        await provider.until_open(0)


async def test_audio_after_the_end_goes_to_the_request_that_ended() -> None:
    ended = asyncio.Event()

    async def trailing(socket: Socket) -> None:
        await socket.respond(b"\x01" * 640)
        await ended.wait()
        await socket.send(b"\x02" * 640)
        await regular(socket)

    sink = RecordingSink()
    async with scripted_provider(trailing) as provider, running_pool(provider.url) as pool:
        async with pool.lease() as lease:
            await read_to_the_end(lease, sink)
        ended.set()
        await sink.closed.wait()
        assert sink.data == b"\x02" * 640
        await until_pool(pool, ONE_IDLE)


async def test_trailing_audio_never_reaches_the_next_request_though_it_cancels_the_linger() -> None:
    async def trailing(socket: Socket) -> None:
        await socket.respond(b"\x01" * 640)
        await socket.request()
        await socket.send(b"\x02" * 640, ACK, b"\x03" * 640, END)
        await stays_open(socket)

    sink = RecordingSink()
    async with (
        scripted_provider(trailing) as provider,
        running_pool(provider.url, linger_s=30) as pool,
    ):
        async with pool.lease() as lease:
            await read_to_the_end(lease, sink)
        frames = await frames_of_request(pool)
        assert frames == [wire.Ack(), wire.Audio(b"\x03" * 640), wire.End()]
        assert sink.data == b"\x02" * 640
        assert sink.closed.is_set()
        assert len(provider.sockets) == 1


async def test_audio_that_arrives_after_the_linger_is_not_the_next_request_s() -> None:
    lingered = asyncio.Event()

    async def very_late(socket: Socket) -> None:
        await socket.respond(b"\x01" * 640)
        await lingered.wait()
        await socket.send(b"\x02" * 640)
        await socket.respond(b"\x03" * 640)
        await socket.respond(b"\x04" * 640)

    sink = RecordingSink()
    async with (
        scripted_provider(very_late) as provider,
        running_pool(provider.url, linger_s=0.01) as pool,
    ):
        async with pool.lease() as lease:
            await read_to_the_end(lease, sink)
        await sink.closed.wait()
        await until_pool(pool, ONE_IDLE)
        lingered.set()
        frames = await frames_of_request(pool)
        assert frames == [wire.Ack(), wire.Audio(b"\x03" * 640), wire.End()]
        assert sink.data == b"\x02" * 640
        assert wire.Audio(b"\x04" * 640) in await frames_of_request(pool)
        assert len(provider.sockets) == 1
