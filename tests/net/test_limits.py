"""Servers that send more beside their bodies than `HttpLimits` allows, over both protocols."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from hyperframe.frame import PingFrame

from app.net.client import client_over, http2_transport
from app.net.limits import HttpLimits
from tests.net.clients import ask, post
from tests.net.scripted_http1 import raw, scripted_http1
from tests.net.scripted_http2 import Exchange, scripted_http2

LIMITS = HttpLimits(
    max_header_line_bytes=2000,
    max_head_bytes=5000,
    max_headers=16,
    max_informational=2,
    max_control_frames_per_s=200,
)

Answer = tuple[int, dict[str, str]]
"""How many informational responses come first, and the headers of the response."""


def headers(count: int, size: int) -> dict[str, str]:
    return {f"x_{number}": "x" * size for number in range(count)}


WITHIN: list[Answer] = [(2, {}), (0, headers(14, 1)), (0, headers(2, 1900))]
BEYOND: list[tuple[Answer, str]] = [
    ((3, {}), "more than 2 informational"),
    ((0, headers(20, 1)), "more than 16 headers|not HTTP"),
    ((0, headers(1, 6000)), "Denial|not HTTP"),
]


@asynccontextmanager
async def limited_client(url: str, *, is_http2: bool) -> AsyncIterator[httpx.AsyncClient]:
    transport = http2_transport(
        url, keep_alive_s=30, max_connections=2, prior_knowledge=is_http2, limits=LIMITS
    )
    async with client_over(transport, connect_timeout_s=5) as client:
        yield client


@asynccontextmanager
async def answering(answer: Answer, *, is_http2: bool) -> AsyncIterator[str]:
    informational, fields = answer

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        for _ in range(informational):
            exchange.head(103)
        exchange.head(**fields)
        await exchange.send(b"ok", end=True)

    if is_http2:
        async with scripted_http2(script) as http2_server:
            yield http2_server.url
        return
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    early = "HTTP/1.1 103 Early Hints\r\n\r\n" * informational
    data = f"{early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{lines}\r\nok"
    async with scripted_http1(raw(data.encode())) as http1_server:
        yield http1_server.url


@pytest.mark.parametrize("is_http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("answer", WITHIN, ids=["informational", "headers", "bytes"])
async def test_what_is_within_the_limits_is_read(answer: Answer, is_http2: bool) -> None:
    async with (
        answering(answer, is_http2=is_http2) as url,
        limited_client(url, is_http2=is_http2) as client,
    ):
        assert await ask(client, url) == b"ok"


@pytest.mark.parametrize("is_http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize(("answer", "reason"), BEYOND, ids=["informational", "headers", "bytes"])
async def test_what_is_beyond_a_limit_fails_the_request(
    answer: Answer, reason: str, is_http2: bool
) -> None:
    async with (
        answering(answer, is_http2=is_http2) as url,
        limited_client(url, is_http2=is_http2) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError, match=reason):
            await post(client, url)


async def test_control_frames_are_limited_by_the_second() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head()
        exchange.socket.write(PingFrame(0, opaque_data=b"12345678").serialize() * 300)
        await exchange.socket.server.until(lambda: exchange.socket.closed)

    async with (
        scripted_http2(script) as server,
        limited_client(server.url, is_http2=True) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError, match="ControlFrameFloodError"):
            await ask(client, server.url)
