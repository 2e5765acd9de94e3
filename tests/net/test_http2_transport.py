"""HTTP/2 behind httpx: which connection a request takes, and what cancelling leaves."""

import asyncio
import gc
from contextlib import aclosing

import h2.errors
import h2.settings
import httpx
import pytest

from app.net.client import raw_chunks
from tests.net.clients import ask, body_of, client_of, post, transport_of
from tests.net.connections import MEGABYTE, UNUSED
from tests.net.scripted_http2 import Exchange, echo, scripted_http2

CANCEL = int(h2.errors.ErrorCodes.CANCEL)
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


async def test_many_requests_at_once_share_one_connection() -> None:
    together = asyncio.Barrier(50)

    async def meet(exchange: Exchange) -> None:
        body = await exchange.body()
        await together.wait()  # no answer before the last of them is here
        await exchange.answer(body * 1000)

    async def one(client: httpx.AsyncClient, number: int) -> None:
        assert await ask(client, server.url, b"%d" % number) == b"%d" % number * 1000

    async with scripted_http2(meet) as server, client_of(server) as client:
        await asyncio.gather(*(one(client, number) for number in range(50)))
        assert len(server.sockets) == 1
        assert repr(transport_of(client)) == f"<Http2Transport [{UNUSED}]>"


async def test_the_first_request_is_new_and_the_next_reuses_its_connection() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        for reused in (False, True, True):
            response = await post(client, server.url)
            assert response.extensions["reused"] is reused
            assert response.http_version == "HTTP/2"
            await response.aclose()


async def test_300_abandoned_responses_neither_stall_the_connection_nor_open_another() -> None:
    async def large(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(MEGABYTE, end=True)

    async with scripted_http2(large) as server, client_of(server) as client:
        for number in range(300):
            response = await post(client, server.url)
            if number % 3:
                async with aclosing(raw_chunks(response)) as chunks:
                    await anext(chunks)
            if number % 3 == 2:
                await server.until(lambda: server.exchanges[-1].sent_bytes == len(MEGABYTE))
            await response.aclose()
        assert await ask(client, server.url) == MEGABYTE
        assert len(server.sockets) == 1
        assert repr(transport_of(client)) == f"<Http2Transport [{UNUSED}]>"


async def test_the_servers_limit_of_streams_leads_to_another_connection() -> None:
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
        await ask(client, server.url)  # its settings are known now
        for count in range(1, 4):
            tasks.create_task(ask(client, f"{server.url}/wait"))
            await server.until(lambda: len(server.exchanges) == 1 + count)  # noqa: B023
        assert [len(socket.exchanges) for socket in server.sockets] == [3, 1]
        goes_on.set()


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
        body = bytes(100_000 if stage == "/upload" else 2)
        task = asyncio.create_task(ask(client, server.url + stage, body))
        await server.until(lambda: len(server.exchanges) == 1)
        await asyncio.sleep(0)
        assert "streams=1" in repr(transport_of(client))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert repr(transport_of(client)) == f"<Http2Transport [{UNUSED}]>"
        await server.exchanges[0].until_reset()
        assert server.exchanges[0].reset_by == CANCEL


async def test_cancelling_the_opening_lets_the_next_request_open() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        task = asyncio.create_task(ask(client, server.url))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await ask(client, server.url) == b"{}"
        gc.collect()  # a socket left open would warn here


async def test_requests_that_come_together_wait_for_one_opening() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        warming = transport_of(client).warm_up(5)
        await asyncio.gather(warming, *(ask(client, server.url) for _ in range(9)))
        assert len(server.sockets) == 1


async def test_closing_leaves_no_connection_and_no_task() -> None:
    before = asyncio.all_tasks()
    async with scripted_http2(echo) as server:
        async with client_of(server) as client:
            await transport_of(client).warm_up(5)
            assert await ask(client, server.url) == b"{}"
        await server.until(lambda: not server.open_count)
        assert repr(transport_of(client)) == "<Http2Transport []>"
    assert asyncio.all_tasks() == before


async def test_a_request_is_sent_as_http2_has_it() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        headers = {"X-Token": "geheim", "Connection": "keep-alive", "Upgrade": "h2c"}
        assert await ask(client, f"{server.url}/a%2Fb?c=d", b"{}", headers) == b"{}"
        assert server.exchanges[0].headers == {
            ":method": "POST",
            ":scheme": "http",
            ":authority": server.url.removeprefix("http://"),
            ":path": "/a%2Fb?c=d",
            "x-token": "geheim",
            "content-length": "2",
        }


async def test_the_usual_calls_of_httpx_work() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        assert (await client.get(server.url)).content == b""
        assert (await client.put(server.url, json={"n": 1})).json() == {"n": 1}
        async with client.stream("POST", server.url, content=b"streamed") as response:
            assert [part async for part in response.aiter_raw()] == [b"streamed"]
        assert len(server.sockets) == 1
        assert repr(transport_of(client)) == f"<Http2Transport [{UNUSED}]>"


async def test_a_connection_that_has_used_all_its_streams_is_replaced() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        assert await ask(client, server.url, b"first") == b"first"
        (connection,) = transport_of(client)._connections
        connection._h2.highest_outbound_stream_id = 2**31 - 1
        assert await ask(client, server.url, b"second") == b"second"
        assert [len(socket.exchanges) for socket in server.sockets] == [1, 1]


async def test_a_header_that_cannot_be_sent_is_told_once() -> None:
    async with scripted_http2(echo) as server, client_of(server) as client:
        with pytest.raises(httpx.LocalProtocolError):
            await ask(client, server.url, headers={"x-token": "one\r\nx-other: two"})
        assert len(server.sockets) <= 1
        assert await ask(client, server.url, b"next") == b"next"
        assert len(server.exchanges) == 1


async def test_a_response_that_was_closed_is_not_read_on() -> None:
    async def endless(exchange: Exchange) -> None:
        exchange.head()
        await exchange.send(MEGABYTE)

    async with scripted_http2(endless) as server, client_of(server) as client:
        response = await post(client, server.url)
        await response.aclose()
        with pytest.raises(httpx.ReadError, match="closed"):
            await body_of(response)
