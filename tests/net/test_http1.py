"""HTTP/1.1: what is sent, what arrives, and what a lost connection is known to mean."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest

from app.net import http1
from app.net.client import raw_chunks
from app.net.http1 import WRITE_BYTES
from app.net.response import content_encoding
from tests.net.clients import acquired, ask, body_of, http1_client, post
from tests.net.scripted_http1 import (
    END,
    HEAD,
    Exchange,
    Http1Server,
    Script,
    chunk,
    raw,
    scripted_http1,
    whole,
)
from tests.steps import longest_step


@asynccontextmanager
async def served(script: Script) -> AsyncIterator[tuple[Http1Server, httpx.AsyncClient]]:
    async with scripted_http1(script) as server, http1_client(server.url) as client:
        yield server, client
        assert not acquired(client), "a connection was not given back"


async def says_ok(exchange: Exchange) -> None:
    await exchange.send(HEAD, chunk(b"ok"), END)


async def test_a_request_arrives_as_it_was_built() -> None:
    async with served(says_ok) as (server, client):
        headers = {"X-Token": "geheim", "Content-Type": "application/json"}
        assert await ask(client, f"{server.url}/a%2Fb?c=%C3%A9", b'{"n":1}', headers) == b"ok"
    (exchange,) = server.exchanges
    assert exchange.head.startswith(b"POST /a%2Fb?c=%C3%A9 HTTP/1.1\r\n")
    assert exchange.fields("x-token") == ["geheim"]
    assert exchange.fields("accept-encoding") == ["identity"]
    assert exchange.fields("host") == [server.url.removeprefix("http://")]
    assert exchange.body == b'{"n":1}'


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
async def test_a_long_body_arrives_whole_and_with_its_length(is_streamed: bool) -> None:
    body = bytes(range(256)) * (WRITE_BYTES // 256 * 40)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    async with served(says_ok) as (server, client):
        content = pieces() if is_streamed else body
        request = httpx.Request("POST", server.url, content=content)
        assert await body_of(await client.send(request, stream=True)) == b"ok"
    (exchange,) = server.exchanges
    assert exchange.body == body
    assert exchange.fields("content-length") == [str(len(body))]
    assert exchange.fields("transfer-encoding") == []


async def test_the_usual_calls_of_httpx_work() -> None:
    async def script(exchange: Exchange) -> None:
        await whole(exchange.head.split(b" ")[0], "200 OK", "Content-Type: text/plain")(exchange)

    async with served(script) as (server, client):
        for method in ("GET", "POST", "PUT", "DELETE"):
            response = await client.request(method, server.url)
            assert (response.text, response.http_version) == (method, "HTTP/1.1")
        lengths = [exchange.fields("content-length") for exchange in server.exchanges]
        assert lengths == [[], ["0"], ["0"], ["0"]]
        assert server.connections == 1


async def test_the_first_request_is_new_and_the_next_reuses_its_connection() -> None:
    async with served(says_ok) as (server, client):
        for reused in (False, True, True):
            response = await post(client, server.url)
            assert response.extensions["reused"] is reused
            assert await body_of(response) == b"ok"
        assert server.connections == 1


async def test_a_body_that_was_compressed_unasked_is_not_decompressed() -> None:
    body = gzip.compress(b"plain")
    async with served(whole(body, "200 OK", "Content-Encoding: gzip")) as (server, client):
        response = await post(client, server.url)
        assert content_encoding(response) == "gzip"
        assert await body_of(response) == body


async def test_a_flood_of_informational_responses_is_an_error() -> None:
    flood = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000
    async with served(raw(flood)) as (server, client):
        with pytest.raises(httpx.RemoteProtocolError, match="more than 10 informational"):
            await post(client, server.url)


async def test_a_few_informational_responses_are_passed_over() -> None:
    data = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10
    async with served(raw(data + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as (
        server,
        client,
    ):
        assert await ask(client, server.url) == b"ok"


async def test_a_body_in_the_smallest_chunks_leaves_the_loop_to_others_and_arrives_whole() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(b"x") * 100_000, END)

    async with served(script) as (server, client), longest_step() as steps:
        assert await ask(client, server.url) == b"x" * 100_000
    assert steps.longest_s < 1


@pytest.mark.parametrize(
    "head",
    [b"X: " + b"x" * 9000 + b"\r\n", b"".join(b"X-%d: x\r\n" % n for n in range(200))],
    ids=["long", "many"],
)
async def test_headers_are_bounded_in_length_and_number(head: bytes) -> None:
    response = b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: 0\r\n\r\n"
    async with served(raw(response)) as (server, client):
        with pytest.raises(httpx.RemoteProtocolError, match="not HTTP"):
            await post(client, server.url)


async def test_the_body_arrives_while_it_is_made() -> None:
    read = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(b"first"))
        await read.wait()
        await exchange.send(chunk(b"second"), END)

    async with served(script) as (server, client):
        response = await post(client, server.url)
        async with aclosing(raw_chunks(response)) as chunks:
            assert await anext(chunks) == b"first"
            read.set()
            assert [part async for part in chunks] == [b"second"]
        await response.aclose()


async def test_a_connection_that_is_not_to_be_had_in_time() -> None:
    requested, over = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        requested.set()
        await over.wait()
        await says_ok(exchange)

    async with scripted_http1(script) as server:
        async with http1_client(server.url, connect_timeout_s=0.05, connections=1) as client:
            first = asyncio.create_task(ask(client, server.url))
            await requested.wait()
            with pytest.raises(httpx.ConnectTimeout):
                await ask(client, server.url)
            over.set()
            assert await first == b"ok"


async def test_a_server_that_is_not_there_is_told_without_its_address() -> None:
    async with scripted_http1(says_ok) as server:
        pass
    async with http1_client(server.url) as client:
        with pytest.raises(httpx.ConnectError, match="refused") as caught:
            await ask(client, server.url)
    assert "127.0.0.1" not in str(caught.value)


async def test_a_header_that_cannot_be_sent_is_told() -> None:
    async with served(says_ok) as (server, client):
        with pytest.raises(httpx.LocalProtocolError):
            await ask(client, server.url, headers={"x-token": "one\r\nx-other: two"})
        assert not server.exchanges


async def test_an_abandoned_response_closes_its_connection() -> None:
    begun = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegins", close=False)
    async with served(begun) as (server, client):
        response = await post(client, server.url)
        async with aclosing(raw_chunks(response)) as chunks:
            assert await anext(chunks) == b"begins"
        await response.aclose()
        await server.ended.wait()


async def test_cancelling_while_it_waits_for_headers_closes_the_connection() -> None:
    async with served(raw(b"", close=False)) as (server, client):
        task = asyncio.create_task(ask(client, server.url))
        while not server.exchanges:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await server.ended.wait()


async def test_what_came_before_a_loss_is_read_first() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(b"one"), chunk(b"two"))
        exchange.writer.close()

    async with served(script) as (server, client):
        response = await post(client, server.url)
        connection: Any = response.stream._stream._response.connection  # type: ignore[union-attr]
        while not connection.closed:
            await asyncio.sleep(0)
        chunks = raw_chunks(response)
        assert await anext(chunks) == b"onetwo"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(chunks)
        await response.aclose()


CUT = {
    "no response": b"",
    "rubbish": b"\x00\x00\x04\x00\x00\x00\x00\x00\x00",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "short of its length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    "cut between chunks": HEAD + b"4\r\nhalf\r\n",
    "cut within a chunk": HEAD + b"9\r\nhalf",
}


@pytest.mark.parametrize("data", CUT.values(), ids=list(CUT))
async def test_a_response_that_is_cut_short_is_against_the_protocol(data: bytes) -> None:
    async with served(raw(data)) as (server, client):
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await ask(client, server.url)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", HEAD, HEAD + b"9\r\nhalf"])
async def test_a_connection_that_is_reset_is_lost(data: bytes) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.writer.transport.abort()

    async with served(script) as (server, client):
        with pytest.raises(httpx.TransportError) as caught:
            await ask(client, server.url)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-", b"rubbish\r\n\r\n", b""])
@pytest.mark.parametrize("reused", [True, False], ids=["reused", "new"])
async def test_a_request_is_sent_again_only_if_an_idle_connection_says_nothing(
    answer: bytes, reused: bool
) -> None:
    async def script(exchange: Exchange) -> None:
        first = len(server.exchanges) == 1
        if first == reused:
            await says_ok(exchange)
            return
        await exchange.send(answer)
        exchange.writer.close()

    async with served(script) as (server, client):
        if reused:
            assert await ask(client, server.url) == b"ok"
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, server.url)
    expected = [1, 2, 1] if reused and not answer else [1, 2] if reused else [1]
    assert [exchange.nth_on_connection for exchange in server.exchanges] == expected


async def test_a_request_that_was_out_for_long_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http1, "STALE_WITHIN_S", 0.0)

    async def script(exchange: Exchange) -> None:
        if exchange.nth_on_connection == 1:
            await says_ok(exchange)
        else:
            exchange.writer.close()

    async with served(script) as (server, client):
        assert await ask(client, server.url) == b"ok"
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, server.url)
    assert len(server.exchanges) == 2


async def test_a_connection_that_the_server_closed_is_replaced() -> None:
    async with served(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as (server, client):
        for count in (1, 2):
            assert await ask(client, server.url) == b"ok"
            await server.ended.wait()
            assert server.connections == count
