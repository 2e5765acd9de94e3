"""HTTP/2: a server that takes no more requests."""

import asyncio
from contextlib import aclosing

import h2.errors
import h2.settings
import httpx
import pytest

from app.net.client import raw_chunks
from app.net.failures import NotProcessedError
from app.net.http2 import MAX_SENDS
from tests.net.clients import ask, body_of, client_of, post, transport_of
from tests.net.connections import MEGABYTE, connected, exchange_on, start
from tests.net.scripted_http2 import Exchange, echo, go_away, scripted_http2, silent

WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
REFUSED = h2.errors.ErrorCodes.REFUSED_STREAM


async def test_after_goaway_the_running_responses_finish_and_the_next_goes_elsewhere() -> None:
    goes_on = asyncio.Event()

    async def retires(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head()
        await exchange.send(b"before ")
        if exchange.socket is server.sockets[0]:
            await goes_on.wait()
        await exchange.send(b"after", end=True)

    async with scripted_http2(retires) as server, client_of(server) as client:
        response = await post(client, server.url)
        async with aclosing(raw_chunks(response)) as chunks:
            assert await anext(chunks) == b"before "
            server.sockets[0].go_away(1)
            while "draining" not in repr(transport_of(client)):
                await asyncio.sleep(0)
            assert await ask(client, server.url) == b"before after"
            goes_on.set()
            assert [chunk async for chunk in chunks] == [b"after"]
        await response.aclose()
        assert [len(socket.exchanges) for socket in server.sockets] == [1, 1]
        await server.until(lambda: server.sockets[0].closed)


async def test_goaway_and_the_rest_of_the_response_may_come_in_one_piece() -> None:
    async def at_once(exchange: Exchange) -> None:
        await exchange.body()
        exchange.socket.h2.send_headers(exchange.id, [(":status", "200")])
        exchange.socket.h2.send_data(exchange.id, b"whole", end_stream=True)
        exchange.socket.write(go_away(exchange.id) + exchange.socket.h2.data_to_send())

    async with scripted_http2(at_once) as server, connected(server) as connection:
        assert await exchange_on(connection) == b"whole"
        assert not connection.is_usable


async def test_what_came_before_goaway_in_the_same_piece_is_answered() -> None:
    async def pings_and_retires(exchange: Exchange) -> None:
        state = exchange.socket.h2
        state.ping(b"measured")
        exchange.socket.write(state.data_to_send() + go_away(exchange.id))
        await server.until(lambda: exchange.socket.pongs == 1)
        await exchange.answer(b"whole")

    async with scripted_http2(pings_and_retires) as server, connected(server) as connection:
        assert await exchange_on(connection) == b"whole"


async def test_an_upload_goes_on_after_goaway() -> None:
    async def retires(exchange: Exchange) -> None:
        await server.until(lambda: len(exchange.received) > 0)
        exchange.socket.go_away(exchange.id)
        await echo(exchange)

    async with (
        scripted_http2(retires, settings={WINDOW: 10_000}) as server,
        connected(server) as connection,
    ):
        assert await exchange_on(connection, MEGABYTE) == MEGABYTE


async def test_a_stream_above_the_last_one_of_goaway_fails_at_once() -> None:
    async def first_only(exchange: Exchange) -> None:
        if exchange.id == 1:
            await server.until(lambda: len(server.exchanges) == 2)
            exchange.socket.go_away(1)
            await exchange.answer(b"still answered")

    async with scripted_http2(first_only) as server, connected(server) as connection:
        first = asyncio.create_task(exchange_on(connection))
        second = asyncio.create_task(exchange_on(connection))
        await asyncio.wait([first, second])
        assert first.result() == b"still answered"
        assert isinstance(second.exception(), NotProcessedError)
        await server.until(lambda: not server.open_count)


async def test_a_draining_connection_is_closed_after_its_last_stream() -> None:
    async with scripted_http2(silent) as server, connected(server) as connection:
        stream = start(connection)
        await server.until(lambda: len(server.exchanges) == 1)
        server.sockets[0].go_away(1)
        while connection.is_usable:
            await asyncio.sleep(0)
        assert server.open_count == 1
        stream.close()
        await server.until(lambda: not server.open_count)


async def test_a_request_that_goaway_gives_back_is_sent_again_on_another_connection() -> None:
    """As a proxy does that limits the requests of a connection: it answers the first only."""

    async def first_only(exchange: Exchange) -> None:
        if exchange.id == 1:
            if exchange.socket is server.sockets[0]:
                await server.until(lambda: len(server.exchanges) == 3)
            exchange.socket.go_away(1)
            await echo(exchange)

    async with scripted_http2(first_only) as server, client_of(server) as client:
        bodies = [b"first", b"second", b"third"]
        assert await asyncio.gather(*(ask(client, server.url, body) for body in bodies)) == bodies
        # two were given back by the first connection, and one of them by the second
        assert [len(socket.exchanges) for socket in server.sockets] == [3, 2, 1]
        await server.until(lambda: not server.open_count)


async def test_a_refused_stream_is_sent_again_and_its_connection_serves_on() -> None:
    async def refuses_the_first(exchange: Exchange) -> None:
        if len(server.exchanges) == 1:
            exchange.reset(REFUSED)
        else:
            await echo(exchange)

    async with scripted_http2(refuses_the_first) as server, client_of(server) as client:
        assert await ask(client, server.url, b"refused once") == b"refused once"
        assert [len(socket.exchanges) for socket in server.sockets] == [1, 1]
        assert await ask(client, server.url, b"next") == b"next"
        assert [len(socket.exchanges) for socket in server.sockets] == [2, 1]


async def test_an_upload_that_is_given_back_is_sent_again_from_its_beginning() -> None:
    async def refuses_in_the_middle(exchange: Exchange) -> None:
        if exchange.socket is server.sockets[0]:
            await server.until(lambda: len(exchange.received) > 0)
            exchange.reset(REFUSED)
        else:
            await echo(exchange)

    async with scripted_http2(refuses_in_the_middle, settings={WINDOW: 10_000}) as server:
        async with client_of(server) as client:
            assert await ask(client, server.url, MEGABYTE) == MEGABYTE
            assert len(server.exchanges) == 2


@pytest.mark.parametrize("how", ["GOAWAY", "REFUSED_STREAM"])
async def test_a_request_that_is_always_given_back_is_sent_a_bounded_number_of_times(
    how: str,
) -> None:
    async def refuses(exchange: Exchange) -> None:
        if how == "GOAWAY":
            exchange.socket.go_away(0)
        else:
            exchange.reset(REFUSED)

    async with scripted_http2(refuses) as server, client_of(server) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, server.url)
        assert len(server.exchanges) == len(server.sockets) == MAX_SENDS


async def test_a_reset_after_the_headers_is_a_loss_whatever_its_code() -> None:
    async def resets(exchange: Exchange) -> None:
        exchange.head()
        exchange.reset(REFUSED)

    async with scripted_http2(resets) as server, client_of(server) as client:
        response = await post(client, server.url)
        with pytest.raises(httpx.ReadError):
            await body_of(response)
        assert len(server.exchanges) == 1


@pytest.mark.parametrize("how", ["INTERNAL_ERROR", "drop"])
async def test_a_request_that_may_have_been_processed_is_not_sent_again(how: str) -> None:
    async def fails(exchange: Exchange) -> None:
        if how == "drop":
            exchange.socket.drop()
        else:
            exchange.reset()

    async with scripted_http2(fails) as server, client_of(server) as client:
        with pytest.raises(httpx.ReadError):
            await ask(client, server.url)
        assert len(server.exchanges) == 1


async def test_cancelling_while_it_is_sent_again_leaves_no_stream() -> None:
    async def refuses_the_first(exchange: Exchange) -> None:
        if len(server.exchanges) == 1:
            exchange.reset(REFUSED)

    async with scripted_http2(refuses_the_first) as server, client_of(server) as client:
        task = asyncio.create_task(ask(client, server.url))
        await server.until(lambda: len(server.exchanges) == 2)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert repr(transport_of(client)).count("streams=0") == 2
        await server.exchanges[1].until_reset()
