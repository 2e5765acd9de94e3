"""HTTP/1.1 by aiohttp: what is sent, through whom, and what a lost connection is known to mean."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app import http1
from app.errors import ConfigurationError
from app.http1 import WRITE_BYTES, BrokenOffError, Http1Client, NotConnectedError
from tests.agents.conftest import END, HEAD, Exchange, Script, Webhook, chunk, serve

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def client_of(url: str, *, connections: int = 10) -> AsyncIterator[Http1Client]:
    client = Http1Client(url, connect_timeout_s=2, keep_alive_s=30, max_connections=connections)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def served(script: Script) -> AsyncIterator[tuple[Webhook, Http1Client]]:
    async with serve(script) as webhook, client_of(webhook.url) as client:
        yield webhook, client


async def body_of(client: Http1Client, body: bytes = b"{}", **headers: str) -> bytes:
    response = await client.post(body, headers)
    try:
        read = b""
        while data := await response.read():
            read += data
        return read
    finally:
        response.close()


async def says_ok(exchange: Exchange) -> None:
    await exchange.send(HEAD, chunk(b"ok"), END)


def fields(exchange: Exchange, name: str) -> list[str]:
    lines = [line.partition(": ") for line in exchange.head.decode().split("\r\n")]
    return [value for key, _, value in lines if key.lower() == name]


async def test_a_long_body_arrives_whole_and_with_its_length() -> None:
    body = bytes(range(256)) * (WRITE_BYTES // 256 * 40)
    async with served(says_ok) as (webhook, client):
        assert await body_of(client, body) == b"ok"
    (exchange,) = webhook.exchanges
    assert exchange.body == body
    assert fields(exchange, "content-length") == [str(len(body))]
    assert fields(exchange, "transfer-encoding") == []


async def test_nothing_is_kept_of_an_answer_but_its_connection() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD[:-2] + b"Set-Cookie: caller=1\r\n\r\n", END)

    async with served(script) as (webhook, client):
        await body_of(client)
        await body_of(client)
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == [1, 2]
    assert fields(webhook.exchanges[1], "cookie") == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "n8n",
        "ftp://n8n.test/",
        "http://",
        "http://n8n.test:port/",
        "http://xn--/",
        "http://n8n..test",
    ],
)
async def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Http1Client(url, connect_timeout_s=1, keep_alive_s=1, max_connections=1)


async def test_a_proxy_is_used_and_told_no_secret_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(says_ok) as proxy:
        address = proxy.url.partition("/webhook")[0].removeprefix("http://")
        monkeypatch.setenv("http_proxy", f"name:word@{address}")
        async with client_of("http://n8n.test/webhook?secret=geheim") as client:
            for _ in range(2):
                assert await body_of(client) == b"ok"
    for exchange in proxy.exchanges:
        assert exchange.head.startswith(b"POST http://n8n.test/webhook?secret=geheim HTTP/1.1\r\n")
        named = "Basic " + base64.b64encode(b"name:word").decode()
        assert fields(exchange, "proxy-authorization") == [named]
        assert fields(exchange, "authorization") == []


@pytest.mark.parametrize("excused", ["", "127.0.0.1"])
async def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, excused: str) -> None:
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", excused)
    async with served(says_ok) as (_, client):
        assert await body_of(client) == b"ok"


async def test_who_is_excused_from_the_proxy_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "n8n.invalid")
    async with client_of("http://n8n.invalid/") as client:
        with pytest.raises(NotConnectedError, match="DNS"):
            await body_of(client)


@pytest.mark.parametrize(
    "proxy", ["socks5://proxy.test:1080", "proxy.test:port", "http://[proxy", "http://proxy..test"]
)
async def test_a_proxy_that_is_none_or_of_another_protocol_is_told(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(ConfigurationError, match="proxy"):
        Http1Client("http://n8n.test/", connect_timeout_s=1, keep_alive_s=1, max_connections=1)


async def test_a_connection_that_is_not_to_be_had_in_time() -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        asked.set()
        await over.wait()
        await says_ok(exchange)

    async with serve(script) as webhook:
        client = Http1Client(
            webhook.url, connect_timeout_s=0.05, keep_alive_s=30, max_connections=1
        )
        first = asyncio.create_task(body_of(client))
        await asked.wait()
        with pytest.raises(NotConnectedError):
            await body_of(client)
        over.set()
        assert await first == b"ok"
        await client.aclose()


async def test_what_came_before_a_loss_is_read_first() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.send(HEAD, chunk(b"one"), chunk(b"two"))
        exchange.writer.close()

    async with served(script) as (_, client):
        response = await client.post(b"{}", {})
        await asyncio.wait_for(closed(response._response.connection), 5)
        assert await response.read() == b"onetwo"
        with pytest.raises(BrokenOffError):
            await response.read()
        response.close()


async def closed(connection: object) -> None:
    while connection is not None and not connection.closed:  # type: ignore[attr-defined]
        await asyncio.sleep(0)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-", b"rubbish\r\n\r\n", b""])
@pytest.mark.parametrize("reused", [True, False], ids=["reused", "new"])
async def test_a_request_is_sent_again_only_if_an_idle_connection_says_nothing(
    answer: bytes, reused: bool
) -> None:
    async def script(exchange: Exchange) -> None:
        first = len(webhook.exchanges) == 1
        if first == reused:
            await says_ok(exchange)
            return
        await exchange.send(answer)
        exchange.writer.close()

    async with served(script) as (webhook, client):
        if reused:
            assert await body_of(client) == b"ok"
        with pytest.raises(BrokenOffError):
            await body_of(client)
    expected = [1, 2, 1] if reused and not answer else [1, 2] if reused else [1]
    assert [exchange.nth_on_connection for exchange in webhook.exchanges] == expected


async def test_a_request_that_was_out_for_long_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http1, "STALE_WITHIN_S", 0.0)

    async def script(exchange: Exchange) -> None:
        if exchange.nth_on_connection == 1:
            await says_ok(exchange)
        else:
            exchange.writer.close()

    async with served(script) as (webhook, client):
        assert await body_of(client) == b"ok"
        with pytest.raises(BrokenOffError):
            await body_of(client)
    assert len(webhook.exchanges) == 2
