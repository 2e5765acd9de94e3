"""The REST client on real sockets, in both versions of HTTP."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import orjson
import pytest
from structlog.testing import capture_logs

from app import errors
from app.hamsa.rest import HamsaClient
from tests.net.scripted_http1 import Exchange as Http1Exchange
from tests.net.scripted_http1 import Http1Server, raw, scripted_http1, whole
from tests.net.scripted_http2 import Exchange, echo, scripted_http2

KEY = "secret-key-of-the-test"
VERSIONS = ["HTTP/1.1", "HTTP/2"]


@asynccontextmanager
async def client_of(url: str, *, version: str = "HTTP/1.1") -> AsyncIterator[HamsaClient]:
    client = HamsaClient(url, KEY, connect_timeout_s=5, http2_prior_knowledge=version == "HTTP/2")
    try:
        yield client
    finally:
        await client.aclose()


async def test_over_http2_the_key_travels_in_one_header() -> None:
    async with (
        scripted_http2(echo) as server,
        client_of(server.url.replace("//", "//somebody@"), version="HTTP/2") as client,
    ):
        assert orjson.loads(await client.post_whole("/v1/x", {"n": 1}, 100)) == {"n": 1}
        assert server.exchanges[0].headers == {
            ":method": "POST",
            ":scheme": "http",
            ":authority": server.url.removeprefix("http://"),
            ":path": "/v1/x",
            "authorization": f"Token {KEY}",
            "content-type": "application/json",
            "content-length": "7",
            "accept-encoding": "identity",
        }


async def test_over_http1_the_key_travels_in_one_header() -> None:
    async with scripted_http1(whole(b"answer")) as server, client_of(server.url) as client:
        assert await client.post_whole("/v1/x", {"n": 1}, 100) == b"answer"
        (exchange,) = server.exchanges
    assert exchange.fields("authorization") == [f"Token {KEY}"]
    assert exchange.head.count(KEY.encode()) == 1
    assert exchange.head.startswith(b"POST /v1/x HTTP/1.1\r\n")
    assert exchange.body == b'{"n":1}'


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_first_request_is_new_and_the_next_reuses_its_connection(version: str) -> None:
    server = scripted_http2(echo) if version == "HTTP/2" else scripted_http1(whole())
    async with server as running, client_of(running.url, version=version) as client:
        for reused in (False, True, True):
            async with client.post("/", {}) as response:
                assert (response.http_version, response.reused) == (version, reused)
                assert [chunk async for chunk in response.chunks()] in ([b"{}"], [])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refusal_is_read_and_its_connection_serves_on(version: str) -> None:
    reason = b'{"code":10429,"message":"usage limit reached"}'

    async def refuses(exchange: Exchange) -> None:
        await exchange.answer(reason, status=429)

    server = (
        scripted_http2(refuses) if version == "HTTP/2" else scripted_http1(whole(reason, "429 No"))
    )
    async with server as running, client_of(running.url, version=version) as client:
        for _ in range(2):
            with pytest.raises(errors.QuotaExceededError):
                await client.post_whole("/", {}, 100)
        opened = running.connections if isinstance(running, Http1Server) else len(running.sockets)
        assert opened == 1
        assert len(running.exchanges) == 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_error_body_that_pours_stops_at_the_bound(version: str) -> None:
    size = 64 * 1024 * 1024  # more than the windows of all layers hold

    async def pours(exchange: Exchange) -> None:
        exchange.head(503)
        while exchange.reset_by is None and not exchange.socket.closed:
            await exchange.send(bytes(16384))

    async def pours1(exchange: Http1Exchange) -> None:
        await exchange.send(b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            await exchange.send(bytes(65536))
        sent.append("all of it")

    sent: list[str] = []
    server = scripted_http2(pours) if version == "HTTP/2" else scripted_http1(pours1)
    async with server as running, client_of(running.url, version=version) as client:
        with pytest.raises(errors.ProviderUnavailableError):
            await client.post_whole("/", {}, 100)
        assert not sent


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_response_that_is_cut_is_a_lost_connection(version: str) -> None:
    async def drops(exchange: Exchange) -> None:
        exchange.head()
        exchange.socket.drop()

    half = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    server = scripted_http2(drops) if version == "HTTP/2" else scripted_http1(half)
    async with server as running, client_of(running.url, version=version) as client:
        with pytest.raises(errors.ConnectionLostError) as caught:
            await client.post_whole("/", {}, 100)
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_an_abandoned_http1_response_closes_its_connection() -> None:
    begun = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegins", close=False)
    async with scripted_http1(begun) as server, client_of(server.url) as client:
        async with client.post("/", {}) as response, aclosing(response.chunks()) as chunks:
            assert await anext(chunks) == b"begins"
        await server.ended.wait()


async def test_warming_up_opens_the_connection_that_the_first_request_takes() -> None:
    async with (
        scripted_http2(echo) as server,
        client_of(server.url, version="HTTP/2") as client,
    ):
        await client.warm_up()
        await server.until(lambda: len(server.sockets) == 1)
        assert await client.post_whole("/", {}, 100) == b"{}"
        assert len(server.sockets) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_is_not_there_is_told(version: str) -> None:
    async with scripted_http1(whole()) as server:
        pass
    async with client_of(server.url, version=version) as client:
        with pytest.raises(errors.ConnectError):
            await client.post_whole("/", {}, 100)
        with capture_logs() as lines:
            await client.warm_up()  # harmless
        assert [line["log_level"] for line in lines] == ["warning"] * (version == "HTTP/2")


async def test_closing_leaves_no_connection_and_no_task() -> None:
    before = asyncio.all_tasks()
    async with scripted_http2(echo) as server:
        async with client_of(server.url, version="HTTP/2") as client:
            await client.warm_up()
            assert await client.post_whole("/", {}, 100) == b"{}"
        await server.until(lambda: not server.open_count)
        assert repr(client) == "<HamsaClient 127.0.0.1 <Http2Transport []>>"
    assert asyncio.all_tasks() == before
