"""HTTP connections that bring no request, too much of one, or take no response."""

import asyncio

import pytest

from tests.serving.servers import raw_client, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_a_request_is_answered_and_the_connection_serves_again() -> None:
    async with serving(handshake_timeout_s=30) as server, raw_client(server) as client:
        for _ in range(3):
            await client.send(REQUEST)
            assert await client.reader.readuntil(b"hello")
        assert server.admission.counts() == {"pending": 1, "established": 0}


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc"], ids=["nothing", "half"])
async def test_a_connection_without_a_whole_request_is_closed(sent: bytes) -> None:
    async with serving(handshake_timeout_s=0.05) as server, raw_client(server) as client:
        await client.send(sent)
        assert await client.closed() == b""
        assert server.admission.refused == {"request-timeout": 1}


async def test_a_request_that_comes_a_byte_at_a_time_has_one_deadline_for_all() -> None:
    async with serving(handshake_timeout_s=0.1) as server, raw_client(server) as client:
        closed = asyncio.create_task(client.closed())
        for byte in REQUEST * 100:
            if closed.done():
                break
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        assert await closed == b""
        assert server.received == []


async def test_the_second_request_has_a_deadline_too() -> None:
    async with serving(handshake_timeout_s=0.1) as server, raw_client(server) as client:
        await client.send(REQUEST)
        await client.reader.readuntil(b"hello")
        await client.send(b"GET / HT")
        assert await client.closed() == b""
        assert server.admission.refused == {"request-timeout": 1}


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.send(b"GET / HTTP/1.1\r\nCookie: " + b"a" * 100_000)
        assert (await client.closed()).startswith(b"HTTP/1.1 400")
        assert server.admission.refused == {"invalid-request": 1}


async def test_of_too_many_pending_connections_the_oldest_goes() -> None:
    async with serving(max_pending=3) as server:
        async with (
            raw_client(server) as first,
            raw_client(server) as second,
            raw_client(server) as third,
            raw_client(server) as polite,
        ):
            assert await first.closed() == b""
            await polite.send(REQUEST)
            await polite.reader.readuntil(b"hello")
            for still_there in (second, third):
                await still_there.send(REQUEST)
                await still_there.reader.readuntil(b"hello")
        assert server.admission.refused == {"too-many-pending": 1}


async def test_too_many_connections_are_told_to_come_back() -> None:
    async with serving(max_connections=1) as server:
        async with raw_client(server) as here, raw_client(server) as another:
            del another
            await here.closed()
        while server.admission.counts()["pending"]:
            await asyncio.sleep(0)
        async with raw_client(server) as session:
            await session.upgrade()
            async with raw_client(server) as one_more:
                assert (await one_more.closed()).startswith(b"HTTP/1.1 503")
        assert server.admission.refused == {"too-many-pending": 1, "too-many-connections": 1}


async def test_where_connections_are_few_patient_strangers_keep_nobody_out() -> None:
    async with serving(max_connections=2) as server:
        async with raw_client(server) as first, raw_client(server), raw_client(server) as polite:
            assert await first.closed() == b""
            await polite.send(REQUEST)
            await polite.reader.readuntil(b"hello")
