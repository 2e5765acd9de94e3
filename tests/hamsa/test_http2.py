"""One HTTP/2 connection against a server that follows a script."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import h2.errors
import h2.settings
import pytest

from app import errors
from app.hamsa import http2
from app.hamsa.http import HamsaClient
from app.hamsa.http2 import STREAM_WINDOW_BYTES, Http2Connection
from tests.scripted_http2 import (
    Exchange,
    Http2Server,
    echo,
    go_away,
    scripted_http2,
    silent,
)

CANCEL = int(h2.errors.ErrorCodes.CANCEL)
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
MEGABYTE = bytes(range(256)) * 4096
UNUSED = "<Http2Connection usable streams=0>"


@asynccontextmanager
async def connected(server: Http2Server) -> AsyncIterator[Http2Connection]:
    connection = await Http2Connection.open("127.0.0.1", server.port, None)
    assert connection is not None
    try:
        yield connection
    finally:
        await connection.aclose()


@asynccontextmanager
async def client_of(server: Http2Server, **changes: float) -> AsyncIterator[HamsaClient]:
    options = {"connect_timeout_s": 5.0, **changes}
    client = HamsaClient(server.url, "key", http2_prior_knowledge=True, **options)  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.aclose()


def start(connection: Http2Connection, path: str = "/") -> http2.Http2Stream:
    return connection.start_request(
        [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", path)]
    )


async def ask(connection: Http2Connection, body: bytes = b"") -> bytes:
    stream = start(connection)
    try:
        await stream.send_body(body)
        await stream.headers()
        return b"".join([chunk async for chunk in stream.chunks()])
    finally:
        stream.close()


async def test_a_request_is_answered() -> None:
    async with scripted_http2(echo) as server, connected(server) as connection:
        assert await ask(connection, b"question") == b"question"
        assert await ask(connection) == b""
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
            await ask(connection, b"question")
        assert server.sockets[0].resets == []
        assert server.sockets[0].pings == 0


async def test_many_requests_at_once_share_one_connection() -> None:
    together = asyncio.Barrier(50)

    async def meet(exchange: Exchange) -> None:
        body = await exchange.body()
        await together.wait()  # no answer before the last of them is here
        await exchange.answer(body * 1000)

    async def one(client: HamsaClient, number: int) -> None:
        assert await client.post_whole("/", {"n": number}, 10**6) == b'{"n":%d}' % number * 1000

    async with scripted_http2(meet) as server, client_of(server) as client:
        await asyncio.gather(*(one(client, number) for number in range(50)))
        assert len(server.sockets) == 1
        assert repr(client) == f"<HamsaClient 127.0.0.1 [{UNUSED}]>"


async def test_the_first_request_is_new_and_the_next_reuses_its_connection() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        for reused in (False, True, True):
            async with client.post("/", {}) as response:
                assert response.reused is reused
                assert response.http_version == "HTTP/2"


async def test_the_body_arrives_while_it_is_made() -> None:
    heard = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(b"first")
        await heard.wait()
        await exchange.send(b"second", end=True)

    async with scripted_http2(slow) as server, connected(server) as connection:
        stream = start(connection)
        async with aclosing(stream.chunks()) as chunks:
            assert await anext(chunks) == b"first"
            heard.set()
            assert await anext(chunks) == b"second"
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
        async with aclosing(stream.chunks()) as chunks:
            await anext(chunks)
        stream.close()
        assert repr(connection) == UNUSED
        await server.exchanges[0].until_reset()
        assert server.exchanges[0].reset_by == CANCEL
        assert await ask(connection, b"next") == b"next"


async def test_300_abandoned_answers_neither_stall_the_connection_nor_open_another() -> None:
    async def large(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(MEGABYTE, end=True)

    async with scripted_http2(large) as server, client_of(server) as client:
        for number in range(300):
            async with client.post("/", {}) as response:
                if number % 3:
                    async with aclosing(response.chunks()) as chunks:
                        await anext(chunks)
                if number % 3 == 2:
                    await server.until(lambda: server.exchanges[-1].sent_bytes == len(MEGABYTE))
        assert await client.post_whole("/", {}, 2 * len(MEGABYTE)) == MEGABYTE
        assert len(server.sockets) == 1
        assert repr(client) == f"<HamsaClient 127.0.0.1 [{UNUSED}]>"


async def test_an_abandoned_stream_is_reset_once_however_much_of_it_is_under_way() -> None:
    async def many_pieces(exchange: Exchange) -> None:
        exchange.head()
        for _ in range(1000):
            await exchange.send(bytes(640))

    async with scripted_http2(many_pieces) as server, connected(server) as connection:
        stream = start(connection)
        await stream.send_body(b"")
        await stream.headers()
        stream.close()
        await server.until(lambda: bool(server.sockets[0].resets))
        start(connection).close()
        await server.until(lambda: server.sockets[0].resets[-1] == (3, CANCEL))
        assert server.sockets[0].resets == [(1, CANCEL), (3, CANCEL)]


async def test_a_reader_that_does_not_read_stops_the_server_at_the_window() -> None:
    async def large(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(MEGABYTE * 3, end=True)

    async with scripted_http2(large) as server, connected(server) as connection:
        stream = start(connection)
        await stream.headers()
        await server.until(lambda: server.exchanges[0].sent_bytes >= STREAM_WINDOW_BYTES)
        assert await asyncio.gather(*(ask_small(connection) for _ in range(3)))
        assert server.exchanges[0].sent_bytes == STREAM_WINDOW_BYTES
        body = b"".join([chunk async for chunk in stream.chunks()])
        assert body == MEGABYTE * 3
        stream.close()


async def ask_small(connection: Http2Connection) -> bytes:
    """Ask for a large answer and read its first piece: the others are not held up."""
    stream = start(connection)
    try:
        async with aclosing(stream.chunks()) as chunks:
            return await anext(chunks)
    finally:
        stream.close()


async def test_a_large_upload_keeps_within_the_window_of_the_peer() -> None:
    body = MEGABYTE * 4
    async with (
        scripted_http2(echo, settings={WINDOW: 10_000}) as server,
        connected(server) as connection,
    ):
        assert await ask(connection, b"so that its settings are known") != b""
        assert await ask(connection, body) == body


async def test_an_upload_that_began_before_the_peer_made_its_window_smaller_goes_on() -> None:
    body = MEGABYTE
    async with scripted_http2(echo, settings={WINDOW: 1000}) as server:
        # nothing was heard of the peer yet: 65,535 bytes go out, and the window turns negative
        async with connected(server) as connection:
            assert await ask(connection, body) == body


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
        assert await ask(connection) == b""  # its settings are known now
        await ask(connection, body)
        assert bytes(server.exchanges[1].received) == body


async def test_an_answer_that_comes_before_the_upload_is_done_is_taken() -> None:
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
        assert (await stream.headers())[":status"] == "413"
        assert [chunk async for chunk in stream.chunks()] == [b"too large"]
        stream.close()
        assert repr(connection) == UNUSED


async def test_after_goaway_the_running_answers_finish_and_the_next_goes_elsewhere() -> None:
    goes_on = asyncio.Event()

    async def retires(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head()
        await exchange.send(b"before ")
        if exchange.socket is server.sockets[0]:
            await goes_on.wait()
        await exchange.send(b"after", end=True)

    async with scripted_http2(retires) as server, client_of(server) as client:
        async with client.post("/", {}) as response, aclosing(response.chunks()) as chunks:
            assert await anext(chunks) == b"before "
            server.sockets[0].go_away(1)
            while "retired" not in repr(client):
                await asyncio.sleep(0)
            assert await client.post_whole("/", {}, 100) == b"before after"
            goes_on.set()
            assert await anext(chunks) == b"after"
            assert [chunk async for chunk in chunks] == []
        assert [len(socket.exchanges) for socket in server.sockets] == [1, 1]
        await server.until(lambda: server.sockets[0].closed)


async def test_goaway_and_the_rest_of_the_answer_may_come_in_one_piece() -> None:
    async def parallel_attempts(exchange: Exchange) -> None:
        await exchange.body()
        exchange.socket.h2.send_headers(exchange.id, [(":status", "200")])
        exchange.socket.h2.send_data(exchange.id, b"whole", end_stream=True)
        exchange.socket.write(go_away(exchange.id) + exchange.socket.h2.data_to_send())

    async with scripted_http2(parallel_attempts) as server, connected(server) as connection:
        assert await ask(connection) == b"whole"
        assert not connection.is_usable


async def test_what_came_before_goaway_in_the_same_piece_is_answered() -> None:
    async def pings_and_retires(exchange: Exchange) -> None:
        state = exchange.socket.h2
        state.ping(b"measured")
        exchange.socket.write(state.data_to_send() + go_away(exchange.id))
        await server.until(lambda: exchange.socket.pongs == 1)
        await exchange.answer(b"whole")

    async with scripted_http2(pings_and_retires) as server, connected(server) as connection:
        assert await ask(connection) == b"whole"


async def test_an_upload_goes_on_after_goaway() -> None:
    async def retires(exchange: Exchange) -> None:
        await server.until(lambda: len(exchange.received) > 0)
        exchange.socket.go_away(exchange.id)
        await echo(exchange)

    async with (
        scripted_http2(retires, settings={WINDOW: 10_000}) as server,
        connected(server) as connection,
    ):
        assert await ask(connection, MEGABYTE) == MEGABYTE


async def test_a_stream_above_the_last_one_of_goaway_fails_at_once() -> None:
    async def first_only(exchange: Exchange) -> None:
        if exchange.id == 1:
            await server.until(lambda: len(server.exchanges) == 2)
            exchange.socket.go_away(1)
            await exchange.answer(b"still answered")

    async with scripted_http2(first_only) as server, connected(server) as connection:
        first = asyncio.create_task(ask(connection))
        second = asyncio.create_task(ask(connection))
        await asyncio.wait([first, second])
        assert first.result() == b"still answered"
        assert isinstance(second.exception(), errors.ConnectionLostError)
        await server.until(lambda: not server.open_count)


async def test_a_retired_connection_is_closed_when_its_last_stream_is_let_go() -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        stream = start(connection)
        await server.until(lambda: len(server.exchanges) == 1)
        server.sockets[0].go_away(1)
        while connection.is_usable:
            await asyncio.sleep(0)
        assert server.open_count == 1
        stream.close()
        await server.until(lambda: not server.open_count)


@pytest.mark.parametrize("after", [b"", b"half an answer"])
async def test_a_connection_lost_in_the_middle_is_told_after_what_came(after: bytes) -> None:
    async def drops(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(after)
        await server.until(heard.is_set)
        exchange.socket.drop()

    heard = asyncio.Event()
    async with scripted_http2(drops) as server, connected(server) as connection:
        stream = start(connection)
        await stream.headers()
        got = b""
        with pytest.raises(errors.ConnectionLostError):
            async with aclosing(stream.chunks()) as chunks:
                heard.set()
                server.changed.set()
                async for chunk in chunks:
                    got += chunk
        assert got in (b"", after)
        stream.close()
        assert repr(connection) == "<Http2Connection retired streams=0>"


async def test_a_connection_lost_before_the_headers_is_told() -> None:
    async def drops(exchange: Exchange) -> None:
        exchange.socket.drop()

    async with scripted_http2(drops) as server, client_of(server) as client:
        for _ in range(2):
            with pytest.raises(errors.ConnectionLostError):
                await client.post_whole("/", {}, 100)
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
        with pytest.raises(errors.ConnectionLostError):
            await ask(connection)
        assert await ask(connection) == b"whole"
        assert repr(connection) == UNUSED
        assert len(server.sockets) == 1


async def test_a_body_shorter_than_its_content_length_is_a_failure() -> None:
    async def short(exchange: Exchange) -> None:
        await exchange.answer(b"half", content_length="8")

    async with scripted_http2(short) as server, client_of(server) as client:
        with pytest.raises(errors.ConnectionLostError):
            await client.post_whole("/", {}, 100)


async def test_the_peers_limit_of_streams_leads_to_another_connection() -> None:
    goes_on = asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        if exchange.headers[":path"] == "/wait":
            await goes_on.wait()
        await exchange.answer(b"done")

    async with (
        scripted_http2(waits, settings={STREAMS: 2}) as server,
        client_of(server) as client,
        asyncio.TaskGroup() as tasks,
    ):
        await client.post_whole("/", {}, 100)  # its settings are known now
        for count in range(1, 4):
            tasks.create_task(client.post_whole("/wait", {}, 100))
            await server.until(lambda: len(server.exchanges) == 1 + count)  # noqa: B023
        assert [len(socket.exchanges) for socket in server.sockets] == [3, 1]
        goes_on.set()


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
        answers = await asyncio.gather(ask(connection), ask(connection), return_exceptions=True)
        assert [type(answer) for answer in answers] == [errors.ConnectionLostError] * 2
        assert not connection.is_usable
        await server.until(lambda: not server.open_count)
        server.faults.clear()


async def test_a_header_that_is_no_utf_8_breaks_nothing() -> None:
    async def latin(exchange: Exchange) -> None:
        await exchange.body()
        exchange.socket.h2.config.validate_outbound_headers = False
        exchange.socket.h2.send_headers(exchange.id, [(b":status", b"200"), (b"x", b"caf\xe9")])
        await exchange.send(b"whole", end=True)

    async with scripted_http2(latin) as server, connected(server) as connection:
        assert await ask(connection) == b"whole"


async def test_a_status_that_is_no_number_is_against_the_protocol() -> None:
    async def odd(exchange: Exchange) -> None:
        exchange.head("fine")
        await exchange.send(end=True)

    async with scripted_http2(odd) as server, client_of(server) as client:
        with pytest.raises(errors.ProtocolError):
            await client.post_whole("/", {}, 100)


async def test_informational_headers_and_trailers_are_passed_over() -> None:
    async def chatty(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head(103)
        exchange.head(200)
        await exchange.send(b"body")
        exchange.socket.h2.send_headers(exchange.id, [("grpc-status", "0")], end_stream=True)
        exchange.socket.flush()

    async with scripted_http2(chatty) as server, connected(server) as connection:
        assert await ask(connection) == b"body"


async def never(exchange: Exchange) -> None:
    match exchange.headers[":path"]:
        case "/headers":
            await exchange.body()
        case "/body":
            exchange.head()
            await exchange.send(b"begins")


@pytest.mark.parametrize("stage", ["/upload", "/headers", "/body"])
async def test_cancelling_at_any_wait_leaves_no_stream(stage: str) -> None:
    async with (
        scripted_http2(never, settings={WINDOW: 10}, gives_window_back=False) as server,
        client_of(server) as client,
    ):
        payload = {"long": "x" * 100_000} if stage == "/upload" else {}
        task = asyncio.create_task(client.post_whole(stage, payload, 100))
        await server.until(lambda: len(server.exchanges) == 1)
        await asyncio.sleep(0)
        assert "streams=1" in repr(client)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert repr(client) == f"<HamsaClient 127.0.0.1 [{UNUSED}]>"
        await server.exchanges[0].until_reset()
        assert server.exchanges[0].reset_by == CANCEL


async def test_cancelling_the_opening_lets_the_next_request_open() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        task = asyncio.create_task(client.post_whole("/", {}, 100))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await client.post_whole("/", {}, 100) == b"{}"
        gc.collect()  # a socket left open would warn here


async def test_requests_that_come_together_wait_for_one_opening() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        await asyncio.gather(client.warm_up(), *(client.post_whole("/", {}, 9) for _ in range(9)))
        assert len(server.sockets) == 1


async def test_a_request_let_go_after_long_silence_condemns_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2, "SILENCE_S", 0.0)
    async with scripted_http2(silent) as server, connected(server) as connection:
        start(connection).close()
        assert not connection.is_usable
        await server.until(lambda: not server.open_count)


async def test_a_request_let_go_soon_does_not_condemn_the_connection() -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        start(connection).close()
        assert connection.is_usable


async def test_the_silence_after_an_answer_that_ended_is_no_reason_to_condemn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_http2(echo) as server, connected(server) as connection:
        stream = start(connection)
        await stream.send_body(b"spoken slowly")
        assert [chunk async for chunk in stream.chunks()] == [b"spoken slowly"]
        monkeypatch.setattr(http2, "SILENCE_S", 0.0)
        stream.close()
        assert connection.is_usable


async def test_the_silence_of_a_peer_that_may_not_send_is_no_reason_to_condemn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def large(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(MEGABYTE * 2)

    async with scripted_http2(large) as server, connected(server) as connection:
        stream = start(connection)
        await stream.headers()
        await server.until(lambda: server.exchanges[0].sent_bytes == STREAM_WINDOW_BYTES)
        monkeypatch.setattr(http2, "SILENCE_S", 0.0)
        stream.close()
        assert connection.is_usable


async def test_requests_let_go_one_after_another_condemn_a_connection_that_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        await server.until(lambda: bool(server.sockets) and server.sockets[0].turns > 0)
        transport = server.sockets[0].transport
        assert transport is not None
        transport.pause_reading()
        monkeypatch.setattr(http2, "SILENCE_S", 0.02)
        while connection.is_usable:  # each waits far less than the silence that condemns
            stream = start(connection)
            await asyncio.sleep(0)
            stream.close()


async def test_a_ping_after_a_request_let_go_shows_that_the_peer_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        asked_at = asyncio.get_running_loop().time()
        start(connection).close()
        await server.until(lambda: server.sockets[0].pings == 1)
        while connection.last_received_at <= asked_at:
            await asyncio.sleep(0)
        monkeypatch.setattr(http2, "SILENCE_S", 0.05)
        start(connection).close()
        assert connection.is_usable


async def test_closing_does_not_wait_for_a_peer_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http2, "CLOSE_TIMEOUT_S", 0.01)
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


async def test_closing_leaves_no_connection_and_no_task() -> None:
    before = asyncio.all_tasks()
    async with scripted_http2(echo) as server:
        async with client_of(server) as client:
            await client.warm_up()
            assert await client.post_whole("/", {}, 100) == b"{}"
        await server.until(lambda: not server.open_count)
        assert repr(client) == "<HamsaClient 127.0.0.1 []>"
    assert asyncio.all_tasks() == before
