"""HTTP/2: what a lost connection, a reset and rubbish are told as."""

import asyncio

import httpx
import pytest

from tests.net.clients import ask, client_of
from tests.net.connections import UNUSED, connected, exchange_on, start
from tests.net.scripted_http2 import Exchange, scripted_http2


@pytest.mark.parametrize("after", [b"", b"half an answer"])
async def test_a_connection_lost_in_the_middle_is_told_after_what_came(after: bytes) -> None:
    async def drops(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(after)
        await server.until(reading.is_set)
        exchange.socket.drop()

    reading = asyncio.Event()
    async with scripted_http2(drops) as server, connected(server) as connection:
        stream = start(connection)
        await stream.response_headers()
        got = b""
        with pytest.raises(httpx.ReadError):
            reading.set()
            server.changed.set()
            async for chunk in stream:
                got += chunk
        assert got in (b"", after)
        stream.close()
        assert repr(connection) == "<Http2Connection draining streams=0>"


async def test_a_connection_lost_before_the_headers_is_told() -> None:
    async def drops(exchange: Exchange) -> None:
        exchange.socket.drop()

    async with scripted_http2(drops) as server, client_of(server) as client:
        for _ in range(2):
            with pytest.raises(httpx.ReadError):
                await ask(client, server.url)
        assert len(server.sockets) == 2


async def test_a_reset_by_the_peer_fails_its_stream_alone() -> None:
    async def resets_the_first(exchange: Exchange) -> None:
        if exchange.id == 1:
            exchange.head()
            await exchange.send(b"half")
            exchange.reset()
        else:
            await exchange.answer(b"whole")

    async with scripted_http2(resets_the_first) as server, connected(server) as connection:
        with pytest.raises(httpx.ReadError):
            await exchange_on(connection)
        assert await exchange_on(connection) == b"whole"
        assert repr(connection) == UNUSED
        assert len(server.sockets) == 1


async def test_a_body_shorter_than_its_content_length_is_a_failure() -> None:
    async def short(exchange: Exchange) -> None:
        await exchange.answer(b"half", content_length="8")

    async with scripted_http2(short) as server, client_of(server) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, server.url)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00\x00\x04\x00\x01\x00\x00\x00\x63data",  # DATA for a stream that never was
        b"\x00\x42\x68\x00\x00\x00\x00\x00\x01" + bytes(17_000),  # DATA larger than allowed
        b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff",  # headers that HPACK cannot read
    ],
    ids=["a stream that never was", "a frame too large", "bad HPACK"],
)
async def test_rubbish_from_the_peer_fails_all_streams_and_closes_the_connection(
    rubbish: bytes,
) -> None:
    async def breaks(exchange: Exchange) -> None:
        if len(server.exchanges) == 2:
            exchange.socket.write(rubbish)

    async with scripted_http2(breaks) as server, connected(server) as connection:
        both = (exchange_on(connection) for _ in range(2))
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [httpx.RemoteProtocolError] * 2
        assert not connection.is_usable
        await server.until(lambda: not server.open_count)
        server.faults.clear()


async def test_a_status_that_is_no_number_is_against_the_protocol() -> None:
    async def odd(exchange: Exchange) -> None:
        exchange.head("fine")
        await exchange.send(end=True)

    async with scripted_http2(odd) as server, client_of(server) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="status"):
            await ask(client, server.url)


async def test_a_connection_lost_during_an_upload_is_told() -> None:
    async def drops(exchange: Exchange) -> None:
        await server.until(lambda: len(exchange.received) > 0)
        exchange.socket.drop()

    async with scripted_http2(drops, gives_window_back=False) as server:
        async with client_of(server) as client:
            with pytest.raises(httpx.WriteError):
                await ask(client, server.url, bytes(1_000_000))
