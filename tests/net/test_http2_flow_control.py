"""HTTP/2: neither side sends more than the other will take."""

import asyncio

import h2.errors
import h2.settings

from app.net.http2_connection import STREAM_WINDOW_BYTES, Http2Connection
from tests.net.connections import MEGABYTE, UNUSED, connected, exchange_on, start
from tests.net.scripted_http2 import Exchange, echo, scripted_http2

WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


async def test_a_reader_that_does_not_read_stops_the_server_at_the_window() -> None:
    async def large(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(MEGABYTE * 3, end=True)

    async with scripted_http2(large) as server, connected(server) as connection:
        stream = start(connection)
        await stream.response_headers()
        await server.until(lambda: server.exchanges[0].sent_bytes >= STREAM_WINDOW_BYTES)
        assert await asyncio.gather(*(ask_small(connection) for _ in range(3)))
        assert server.exchanges[0].sent_bytes == STREAM_WINDOW_BYTES
        body = b"".join([chunk async for chunk in stream])
        assert body == MEGABYTE * 3
        stream.close()


async def ask_small(connection: Http2Connection) -> bytes:
    """Ask for a large answer and read its first piece: the others are not held up."""
    stream = start(connection)
    try:
        return await anext(stream)
    finally:
        stream.close()


async def test_a_large_upload_keeps_within_the_window_of_the_server() -> None:
    body = MEGABYTE * 4
    async with (
        scripted_http2(echo, settings={WINDOW: 10_000}) as server,
        connected(server) as connection,
    ):
        assert await exchange_on(connection, b"so that its settings are known") != b""
        assert await exchange_on(connection, body) == body


async def test_an_upload_that_began_before_the_server_made_its_window_smaller_goes_on() -> None:
    body = MEGABYTE
    async with scripted_http2(echo, settings={WINDOW: 1000}) as server:
        # nothing was heard of the peer yet: 65,535 bytes go out, and the window turns negative
        async with connected(server) as connection:
            assert await exchange_on(connection, body) == body


async def test_an_upload_goes_on_when_the_window_grows_by_settings_alone() -> None:
    body = bytes(30_000)

    async def grows(exchange: Exchange) -> None:
        if not exchange.whole:
            await server.until(lambda: len(exchange.received) == 10)
            exchange.socket.h2.update_settings({WINDOW: 60_000})
            exchange.socket.flush()
        await exchange.answer()

    async with (
        scripted_http2(grows, settings={WINDOW: 10}, gives_window_back=False) as server,
        connected(server) as connection,
    ):
        assert await exchange_on(connection) == b""  # its settings are known now
        await exchange_on(connection, body)
        assert bytes(server.exchanges[1].received) == body


async def test_a_response_that_comes_before_the_upload_is_done_is_taken() -> None:
    async def refuses(exchange: Exchange) -> None:
        exchange.head(413)
        await exchange.send(b"too large", end=True)
        exchange.reset(h2.errors.ErrorCodes.NO_ERROR)

    async with (
        scripted_http2(refuses, settings={WINDOW: 10}, gives_window_back=False) as server,
        connected(server) as connection,
    ):
        stream = start(connection)
        await stream.send_body(MEGABYTE)
        assert dict(await stream.response_headers())[b":status"] == b"413"
        assert [chunk async for chunk in stream] == [b"too large"]
        stream.close()
        assert repr(connection) == UNUSED
