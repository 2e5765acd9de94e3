"""The HTTP client that all answers share, made to lose no connection when a turn is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import httpcore
import httpx

_KEEPALIVE_EXPIRY_S = 4.0  # n8n drops idle connections after about 5 s
_MAX_IDLE_CONNECTIONS = 20  # an expired one stays open until the next request
_MAX_CONNECTIONS = 200  # one an answer being written; a wait for one counts as unreachable


def make_client(*, connect_timeout_s: float) -> httpx.AsyncClient:
    """Make the client; close it when the gateway stops.

    HTTP/1.1, no redirects (they would carry the token away), no compression. Only connecting is
    timed here; `AnswerSource` times the rest.
    """
    client = httpx.AsyncClient(
        http2=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        timeout=httpx.Timeout(None, connect=connect_timeout_s, pool=connect_timeout_s),
        limits=httpx.Limits(
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_EXPIRY_S,
        ),
    )
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.AsyncHTTPTransport):
            transport._pool.__class__ = _closing(type(transport._pool))
    return client


class WholeStream(httpx.AsyncByteStream):
    """A body that is closed to the end once its closing has begun.

    httpcore shields that from the cancellations of anyio alone. One of asyncio amid it leaves the
    request in the pool for ever, and with it the connection.
    """

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        """Give the connection back."""
        await to_the_end(self._stream.aclose())


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await what takes but a moment; a cancellation waits for it."""
    task = asyncio.ensure_future(work)  # its owner is this function, which does not leave it
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _closing(kind: type[httpcore.AsyncConnectionPool]) -> type[httpcore.AsyncConnectionPool]:
    """Return a pool that loses none of its connections, for the same reason."""

    class ClosingPool(kind):  # type: ignore[valid-type, misc]
        def _assign_requests_to_connections(self) -> list[Any]:
            """Give up what a request left that was cancelled before it had begun to use it."""
            used = [request.connection for request in self._requests]
            lost = [
                connection
                for connection in self._connections
                if not (connection in used or connection.is_idle() or connection.is_closed())
            ]
            for connection in lost:
                self._connections.remove(connection)
            return [*lost, *super()._assign_requests_to_connections()]

        async def _close_connections(self, closing: list[Any]) -> None:
            """Close all that is in the list no more."""
            if closing:
                await to_the_end(super()._close_connections(closing))

    return ClosingPool
