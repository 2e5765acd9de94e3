"""One socket to the provider: how it is opened, kept alive, and read."""

import asyncio

import pytest

from app import errors
from app.hamsa import wire
from app.hamsa.connection import Connection
from tests.pool.pools import EMPTY, KEY, ONE_IDLE, frames_of_request, running_pool, until_pool
from tests.scripted import END, Socket, responds, scripted_provider, stays_open

regular = responds(b"\x00" * 640)


async def test_the_key_is_sent_as_a_header_and_not_in_the_address() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        await frames_of_request(pool)
        assert provider.headers[0]["X-Api-Key"] == KEY
        assert provider.paths == ["/v1/realtime/ws"]


@pytest.mark.parametrize(("suffix", "key"), [("", "“secret”"), ("?token=secret#x", KEY)])
async def test_the_error_of_a_failed_opening_holds_neither_key_nor_address(
    suffix: str, key: str
) -> None:
    """It goes into the log."""
    async with scripted_provider(regular) as provider:
        with pytest.raises(errors.ConnectError, match="no socket: Invalid") as caught:
            await Connection.open(provider.url + suffix, key, connect_timeout_s=5)
    assert "secret" not in str(caught.value)


async def test_a_socket_without_a_pong_is_closed() -> None:
    async def reads_nothing(socket: Socket) -> None:
        socket.connection.transport.pause_reading()
        await stays_open(socket)

    async with (
        scripted_provider(reads_nothing) as provider,
        running_pool(provider.url, ping_interval_s=0.02, ping_timeout_s=0.02) as pool,
    ):
        pool.warm_up()
        await until_pool(pool, ONE_IDLE)
        await until_pool(pool, EMPTY)
        provider.sockets[0].drop()


async def test_a_pong_behind_audio_that_is_not_read_yet_is_not_missing() -> None:
    async def sends_much(socket: Socket) -> None:
        await socket.respond(*[bytes(64 * 1024)] * 200)  # more than the buffers on the way hold
        await stays_open(socket)

    async with (
        scripted_provider(sends_much) as provider,
        running_pool(provider.url, ping_interval_s=0.02, ping_timeout_s=0.2) as pool,
    ):
        async with pool.lease() as lease:
            await lease.connection.send(b"{}", max_audio_s=60)
            await lease.connection.receive()
            closed = asyncio.create_task(provider.sockets[0].connection.wait_closed())
            await asyncio.wait([closed], timeout=0.5)  # a ping times out meanwhile
            assert not closed.done()
            closed.cancel()
            while lease.connection.in_flight:
                await lease.connection.receive()
        await until_pool(pool, ONE_IDLE)


async def test_an_end_on_a_new_socket_belongs_to_its_first_request() -> None:
    async def empty(socket: Socket) -> None:
        await socket.request()
        await socket.send(END)
        await stays_open(socket)

    async with scripted_provider(empty) as provider, running_pool(provider.url) as pool:
        assert await frames_of_request(pool) == [wire.End()]
