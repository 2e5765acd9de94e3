"""HTTP/2: when a connection that is silent is not used again."""

import asyncio

import pytest

from app.net import http2_connection
from app.net.http2_connection import STREAM_WINDOW_BYTES
from tests.net.connections import MEGABYTE, connected, start
from tests.net.scripted_http2 import Exchange, echo, scripted_http2, silent


async def test_a_request_cancelled_after_long_silence_retires_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2_connection, "SILENCE_S", 0.0)
    async with scripted_http2(silent) as server, connected(server) as connection:
        start(connection).close()
        assert not connection.is_usable
        await server.until(lambda: not server.open_count)


async def test_a_request_cancelled_soon_does_not_retire_the_connection() -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        start(connection).close()
        assert connection.is_usable


async def test_the_silence_after_a_response_that_ended_is_no_reason_to_retire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_http2(echo) as server, connected(server) as connection:
        stream = start(connection)
        await stream.send_body(b"spoken slowly")
        assert [chunk async for chunk in stream] == [b"spoken slowly"]
        monkeypatch.setattr(http2_connection, "SILENCE_S", 0.0)
        stream.close()
        assert connection.is_usable


async def test_the_silence_of_a_peer_that_may_not_send_is_no_reason_to_retire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def large(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(MEGABYTE * 2)

    async with scripted_http2(large) as server, connected(server) as connection:
        stream = start(connection)
        await stream.response_headers()
        await server.until(lambda: server.exchanges[0].sent_bytes == STREAM_WINDOW_BYTES)
        monkeypatch.setattr(http2_connection, "SILENCE_S", 0.0)
        stream.close()
        assert connection.is_usable


async def test_requests_cancelled_one_after_another_retire_a_connection_that_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        await server.until(lambda: bool(server.sockets) and server.sockets[0].turns > 0)
        transport = server.sockets[0].transport
        assert transport is not None
        transport.pause_reading()
        monkeypatch.setattr(http2_connection, "SILENCE_S", 0.02)
        while connection.is_usable:  # each waits far less than the silence that retires
            stream = start(connection)
            await asyncio.sleep(0)
            stream.close()


async def test_a_ping_after_a_cancelled_request_shows_that_the_peer_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        asked_at = asyncio.get_running_loop().time()
        start(connection).close()
        await server.until(lambda: server.sockets[0].pings == 1)
        while connection.last_received_at <= asked_at:
            await asyncio.sleep(0)
        monkeypatch.setattr(http2_connection, "SILENCE_S", 0.05)
        start(connection).close()
        assert connection.is_usable
