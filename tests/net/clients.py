"""Clients for tests, over the transports that are tested."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from app.net.client import client_over, http1_transport, http2_transport, raw_chunks
from app.net.http2 import Http2Transport
from tests.net.scripted_http2 import Http2Server

Headers = Mapping[str, str] | None


@asynccontextmanager
async def http1_client(
    url: str, *, connections: int = 10, connect_timeout_s: float = 2
) -> AsyncIterator[httpx.AsyncClient]:
    transport = http1_transport(url, keep_alive_s=30, max_connections=connections)
    async with client_over(transport, connect_timeout_s=connect_timeout_s) as client:
        yield client


@asynccontextmanager
async def http2_client(
    url: str, *, connect_timeout_s: float = 5, prior_knowledge: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    transport = http2_transport(
        url, keep_alive_s=30, max_connections=10, prior_knowledge=prior_knowledge
    )
    async with client_over(transport, connect_timeout_s=connect_timeout_s) as client:
        yield client


def transport_of(client: httpx.AsyncClient) -> Any:
    return client._transport


def connector_of(client: httpx.AsyncClient) -> Any:
    """What holds aiohttp's connections."""
    return transport_of(client)._session.connector


def acquired(client: httpx.AsyncClient) -> int:
    """Count the HTTP/1.1 connections that responses hold."""
    return len(connector_of(client)._acquired)


async def post(
    client: httpx.AsyncClient, url: str, body: bytes = b"{}", headers: Headers = None
) -> httpx.Response:
    """Post, and return the response when its headers are there. Close it."""
    request = httpx.Request("POST", url, headers=headers, content=body)
    return await client.send(request, stream=True)


async def body_of(response: httpx.Response) -> bytes:
    """Read the whole body, and close the response."""
    try:
        async with aclosing(raw_chunks(response)) as chunks:
            return b"".join([chunk async for chunk in chunks])
    finally:
        await response.aclose()


async def ask(
    client: httpx.AsyncClient, url: str, body: bytes = b"{}", headers: Headers = None
) -> bytes:
    return await body_of(await post(client, url, body, headers))


@asynccontextmanager
async def client_of(server: Http2Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks HTTP/2 to a scripted server."""
    async with http2_client(server.url) as client:
        assert isinstance(transport_of(client), Http2Transport)
        yield client
