"""HTTP/2 connections of ours, without a transport around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.net.http2_connection import Http2Connection
from app.net.http2_stream import Http2Stream
from tests.net.scripted_http2 import Http2Server

UNUSED = "<Http2Connection usable streams=0>"
MEGABYTE = bytes(range(256)) * 4096


@asynccontextmanager
async def connected(server: Http2Server) -> AsyncIterator[Http2Connection]:
    """A connection of ours to this server."""
    connection = await Http2Connection.open("127.0.0.1", server.port, None)
    assert connection is not None
    try:
        yield connection
    finally:
        await connection.aclose()


def start(connection: Http2Connection, path: str = "/") -> Http2Stream:
    """Send the headers of a request."""
    return connection.start_request(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", b"test"),
            (b":path", path.encode()),
        ]
    )


async def exchange_on(connection: Http2Connection, body: bytes = b"") -> bytes:
    """Send a whole request, and return the whole response."""
    stream = start(connection)
    try:
        await stream.send_body(body)
        await stream.response_headers()
        return b"".join([chunk async for chunk in stream])
    finally:
        stream.close()
