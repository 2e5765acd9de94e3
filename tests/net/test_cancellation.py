"""Cancelled at any suspension, a request leaves neither a connection nor a stream behind."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from app.net.client import EventHooks, client_over, http1_transport, http2_transport, raw_chunks
from tests.net.clients import acquired, post, transport_of
from tests.net.scripted_http1 import END, HEAD, chunk, scripted_http1
from tests.net.scripted_http1 import Exchange as Http1Exchange
from tests.net.scripted_http2 import Exchange, scripted_http2
from tests.suspensions import MAX_SUSPENSIONS, Cancellation, Mode, start

VERSIONS = ["HTTP/1.1", "HTTP/2"]
BODY = bytes(200_000)  # more than a window


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let no garbage collection close what was lost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def slow_http1(exchange: Http1Exchange) -> None:
    await exchange.send(HEAD)
    for _ in range(3):
        await exchange.send(chunk(b"part"))
        await asyncio.sleep(0)
    await exchange.send(END)


async def slow_http2(exchange: Exchange) -> None:
    await exchange.body()
    exchange.head()
    for _ in range(3):
        await exchange.send(b"part")
        await asyncio.sleep(0)
    await exchange.send(end=True)


@asynccontextmanager
async def served(version: str, *, is_hooked: bool) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    async def suspends(_: object) -> None:
        await asyncio.sleep(0)

    is_http2 = version == "HTTP/2"
    server = scripted_http2(slow_http2) if is_http2 else scripted_http1(slow_http1)
    both: EventHooks = {"request": [suspends], "response": [suspends]}
    async with server as running:
        transport = (
            http2_transport(running.url, keep_alive_s=30, max_connections=2, prior_knowledge=True)
            if is_http2
            else http1_transport(running.url, keep_alive_s=30, max_connections=2)
        )
        async with client_over(
            transport, connect_timeout_s=5, event_hooks=both if is_hooked else None
        ) as client:
            yield client, running.url


def is_free(client: httpx.AsyncClient) -> bool:
    shown = repr(transport_of(client))
    if "Http2Transport" in shown:
        return shown.count("streams=") == shown.count("streams=0")
    return not acquired(client)


@pytest.mark.parametrize("mode", ["waiting", "served", "twice"])
@pytest.mark.parametrize("is_hooked", [False, True], ids=["plain", "hooked"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_cancelled_at_any_suspension_a_request_leaves_nothing(
    version: str, is_hooked: bool, mode: Mode, uncollected: None
) -> None:
    async def reads() -> None:
        response = await post(client, url, BODY)
        try:
            async with aclosing(raw_chunks(response)) as chunks:
                assert b"".join([part async for part in chunks]) == b"part" * 3
        finally:
            await response.aclose()

    async with served(version, is_hooked=is_hooked) as (client, url):
        for at in range(1, MAX_SUSPENSIONS):
            cancellation = Cancellation(at, mode)
            work = start(reads(), cancellation)
            await asyncio.wait([work])
            assert work.cancelled() == cancellation.was_cancelled
            assert is_free(client), (at, transport_of(client))
            if cancellation.suspensions < at:
                break
        assert at > 3
        await reads()
