"""One HTTP/2 connection against a server that follows a script."""

import asyncio

import h2.errors
import h2.settings
import pytest
from hyperframe.frame import DataFrame

from app.net import http2_connection
from app.net.http2_connection import Http2Connection
from tests.net.connections import MEGABYTE, UNUSED, connected, exchange_on, start
from tests.net.scripted_http2 import Exchange, Http2Server, echo, scripted_http2, silent

CANCEL = int(h2.errors.ErrorCodes.CANCEL)
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


async def test_a_request_is_answered() -> None:
    async with scripted_http2(echo) as server, connected(server) as connection:
        assert await exchange_on(connection, b"question") == b"question"
        assert await exchange_on(connection) == b""
        assert repr(connection) == UNUSED
        assert [exchange.headers[":path"] for exchange in server.exchanges] == ["/", "/"]


class Recorder(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False


async def test_the_greeting_goes_out_first_when_the_peer_talks_first() -> None:
    """Servers send their settings with the end of the handshake, before anybody here is told."""
    connection, transport = Http2Connection(), Recorder()
    connection.connection_made(transport)
    connection.data_received(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # empty SETTINGS
    assert transport.written.startswith(b"PRI * HTTP/2.0\r\n")
    assert transport.written.endswith(b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")  # their ACK


async def test_a_request_that_ended_by_itself_is_not_reset() -> None:
    async with scripted_http2(echo) as server, connected(server) as connection:
        for _ in range(20):
            await exchange_on(connection, b"question")
        assert server.sockets[0].resets == []
        assert server.sockets[0].pings == 0


async def test_the_body_arrives_while_it_is_made() -> None:
    arrived = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(b"first")
        await arrived.wait()
        await exchange.send(b"second", end=True)

    async with scripted_http2(slow) as server, connected(server) as connection:
        stream = start(connection)
        assert await anext(stream) == b"first"
        arrived.set()
        assert [chunk async for chunk in stream] == [b"second"]
        stream.close()


async def test_an_abandoned_stream_is_cancelled_at_once_and_the_connection_serves_on() -> None:
    async def endless(exchange: Exchange) -> None:
        if exchange.headers[":path"] == "/endless":
            exchange.head()
            await exchange.send(MEGABYTE * 3)
        else:
            await echo(exchange)

    async with scripted_http2(endless) as server, connected(server) as connection:
        stream = start(connection, "/endless")
        await anext(stream)
        stream.close()
        assert repr(connection) == UNUSED
        await server.exchanges[0].until_reset()
        assert server.exchanges[0].reset_by == CANCEL
        assert await exchange_on(connection, b"next") == b"next"


async def test_an_abandoned_stream_is_reset_once_however_much_of_it_is_under_way() -> None:
    async def many_pieces(exchange: Exchange) -> None:
        exchange.head()
        for _ in range(1000):
            await exchange.send(bytes(640))

    async with scripted_http2(many_pieces) as server, connected(server) as connection:
        stream = start(connection)
        await stream.send_body(b"")
        await stream.response_headers()
        stream.close()
        await server.until(lambda: bool(server.sockets[0].resets))
        start(connection).close()
        await server.until(lambda: server.sockets[0].resets[-1] == (3, CANCEL))
        assert server.sockets[0].resets == [(1, CANCEL), (3, CANCEL)]


async def test_no_chunk_is_written_out_for_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def shown(frame: DataFrame) -> str:
        written.append(len(frame.data))
        return "DataFrame"

    monkeypatch.setattr(DataFrame, "__repr__", shown)

    async def large(exchange: Exchange) -> None:
        await exchange.answer(bytes(10_000), bytes(10_000))

    async with scripted_http2(large) as server, connected(server) as connection:
        assert await exchange_on(connection, b"question") == bytes(20_000)
    assert not [size for size in written if size >= 10_000]


async def test_a_header_that_is_no_utf_8_breaks_nothing() -> None:
    async def latin(exchange: Exchange) -> None:
        await exchange.body()
        exchange.socket.h2.config.validate_outbound_headers = False
        exchange.socket.h2.send_headers(exchange.id, [(b":status", b"200"), (b"x", b"caf\xe9")])
        await exchange.send(b"whole", end=True)

    async with scripted_http2(latin) as server, connected(server) as connection:
        assert await exchange_on(connection) == b"whole"


async def test_informational_headers_and_trailers_are_passed_over() -> None:
    async def chatty(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head(103)
        exchange.head(200)
        await exchange.send(b"body")
        exchange.socket.h2.send_headers(exchange.id, [("grpc-status", "0")], end_stream=True)
        exchange.socket.flush()

    async with scripted_http2(chatty) as server, connected(server) as connection:
        assert await exchange_on(connection) == b"body"


async def test_closing_does_not_wait_for_a_peer_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2_connection, "CLOSE_TIMEOUT_S", 0.01)
    window = 2**31 - 1
    async with scripted_http2(silent, settings={WINDOW: window}) as server:
        connection = await Http2Connection.open("127.0.0.1", server.port, None)
        assert connection is not None
        await ask_nothing(connection, server)
        server.sockets[0].h2.increment_flow_control_window(window - 65_535)
        server.sockets[0].flush()
        stream = start(connection)
        upload = asyncio.create_task(stream.send_body(bytes(2**26)))  # more than kernels take
        transport = server.sockets[0].transport
        assert transport is not None
        transport.pause_reading()
        await asyncio.wait([upload])
        await connection.aclose()
        assert connection.closed.is_set()


async def ask_nothing(connection: Http2Connection, server: Http2Server) -> None:
    """Let go of a request, so that the settings of the peer are known."""
    start(connection).close()
    await server.until(lambda: server.sockets[0].pings == 1)
