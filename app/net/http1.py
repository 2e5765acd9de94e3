"""HTTP/1.1 on aiohttp, behind the interface of httpx: connections serve again, and lose nothing.

httpcore, which httpx brings, loses connections when asyncio cancels, and costs several times as
much for each chunk. The package `httpx-aiohttp` (0.2) drops what arrived before a loss, sends
nothing again on a stale connection, and calls a lost one a timeout of connecting.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Self

import aiohttp
import httpx
from multidict import CIMultiDict
from yarl import URL

from app.net.failures import failure_of
from app.net.http1_protocol import BoundedConnector
from app.net.limits import DEFAULT_LIMITS, HttpLimits
from app.net.response import build_response

WRITE_BYTES = 64 * 1024
"""A request body is written in pieces of this size: the usual buffer of a socket."""

STALE_WITHIN_S = 1.0
"""A connection that the server has closed shows so within a round trip. A later loss may be that of
a request that is being processed, and sending it again could do its work twice."""


@dataclass(slots=True)
class RequestTrace:
    """What aiohttp tells of one request's connection."""

    reused_at: float | None = None
    """When an idle connection was taken, in loop time; None for a new one."""


class Http1Stream(httpx.AsyncByteStream):
    """The body of a response, chunk by chunk as it arrives."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            if data := await self._content.readany():
                return data
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp withholds what arrived before the loss
            if rest := self._content._read_nowait(-1):
                return rest
            raise failure_of(error) from None
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let the connection serve again if the body was read to its end, else close it."""
        self._response.close()


class Http1Transport(httpx.AsyncBaseTransport):
    """Sends requests over connections that are kept for `keep_alive_s` when idle.

    At most `max_connections` are open; the wait for one counts as connecting, and only connecting
    is timed here. A body is passed on as it was sent, which `content_encoding`
    tells of. Create it where a loop runs.
    """

    def __init__(
        self,
        *,
        keep_alive_s: float,
        max_connections: int,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> None:
        self._proxy = proxy
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_on_reuse)
        self._session = aiohttp.ClientSession(
            connector=BoundedConnector(
                limit=max_connections,
                keepalive_timeout=keep_alive_s,
                ssl=True if tls is None else tls,
                max_informational=limits.max_informational,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            trace_configs=[trace],
            auto_decompress=False,  # half a megabyte can become half a gigabyte
            max_line_size=limits.max_header_line_bytes,
            max_field_size=limits.max_header_line_bytes,
            max_headers=limits.max_headers,
        )

    def __repr__(self) -> str:
        return f"<Http1Transport{' by a proxy' if self._proxy else ''}>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the response's headers.

        Sends it again for each idle connection that turns out to have been closed: after a restart
        of the server all of them may be. Raises `httpx.TransportError`.
        """
        body = await request.aread()
        while True:
            trace = RequestTrace()
            try:
                response = await self._send(request, body, trace)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if not _was_stale(error, trace):
                    raise failure_of(error) from None
            else:
                return _response_of(response, reused=trace.reused_at is not None)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(
        self, request: httpx.Request, body: bytes, trace: RequestTrace
    ) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method,
            URL(str(request.url), encoded=True),
            data=_pieces(body) if len(body) > WRITE_BYTES else body or None,
            headers=_headers_of(request, body),
            proxy=self._proxy,
            allow_redirects=False,
            timeout=_timeout_of(request.extensions.get("timeout", {}).get("connect")),
            trace_request_ctx=trace,
        )


def _headers_of(request: httpx.Request, body: bytes) -> CIMultiDict[str]:
    headers = CIMultiDict(
        (name.decode("ascii"), value.decode("utf-8")) for name, value in request.headers.raw
    )
    if headers.pop("Transfer-Encoding", None) is not None:
        headers["Content-Length"] = str(len(body))  # a streamed body, which was read whole
    return headers


@lru_cache(maxsize=16)
def _timeout_of(connect_s: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect_s)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), WRITE_BYTES):
        yield body[start : start + WRITE_BYTES]


def _response_of(response: aiohttp.ClientResponse, *, reused: bool) -> httpx.Response:
    return build_response(
        response.status,
        response.raw_headers,
        Http1Stream(response),
        http_version=b"HTTP/1.1",
        reused=reused,
    )


async def _on_reuse(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx.reused_at = asyncio.get_running_loop().time()


def _was_stale(error: Exception, trace: RequestTrace) -> bool:
    """Tell, after a failure, whether the server had closed the connection beforehand."""
    no_response = isinstance(error, aiohttp.ClientOSError) or (
        # else the message holds what had come of a response
        isinstance(error, aiohttp.ServerDisconnectedError) and isinstance(error.message, str)
    )
    if trace.reused_at is None or not no_response:
        return False
    return asyncio.get_running_loop().time() - trace.reused_at < STALE_WITHIN_S
