"""Clients: `httpx.AsyncClient` over our transports.

They follow no redirect, since a key would be sent along; keep no cookie; ask for no compression;
and read no environment, since the transports know the proxy. Only connecting has a timeout, httpx's
`connect`: whoever reads a response bounds the wait for it.

`response.extensions["reused"]` tells whether the connection had carried a request before.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, cast

import httpx

from app.net.http1 import Http1Transport
from app.net.http2 import Http2Transport
from app.net.lazy import LazyTransport
from app.net.limits import DEFAULT_LIMITS, HttpLimits
from app.net.proxy import proxy_for
from app.net.url import web_url

WARM_UP_TIMEOUT_S = 10.0
"""Longest wait for a connection ahead of need, where a client has no limit of its own."""

EventHooks = Mapping[str, list[Callable[..., Awaitable[Any]]]]


def http1_transport(
    url: str,
    *,
    keep_alive_s: float,
    max_connections: int,
    limits: HttpLimits = DEFAULT_LIMITS,
) -> Http1Transport:
    """Create a transport that speaks HTTP/1.1, through the environment's proxy for `url`, if any.

    Raises `ConfigurationError` for a URL or a proxy that is not valid.
    """
    return Http1Transport(
        keep_alive_s=keep_alive_s,
        max_connections=max_connections,
        proxy=proxy_for(url),
        tls=_tls_context("http/1.1") if web_url(url).scheme == "https" else None,
        limits=limits,
    )


def http2_transport(
    url: str,
    *,
    keep_alive_s: float,
    max_connections: int,
    prior_knowledge: bool = False,
    limits: HttpLimits = DEFAULT_LIMITS,
) -> Http1Transport | Http2Transport:
    """Create a transport that speaks HTTP/2 to `url` where TLS agrees on it, else HTTP/1.1.

    With `prior_knowledge` it speaks HTTP/2 without TLS, too, and uses no proxy; otherwise it speaks
    HTTP/1.1 to a proxy. `keep_alive_s` and `max_connections` are for HTTP/1.1. Raises
    `ConfigurationError`.
    """
    http1 = http1_transport(
        url, keep_alive_s=keep_alive_s, max_connections=max_connections, limits=limits
    )
    parsed = web_url(url)
    is_tls = parsed.scheme == "https"
    if not prior_knowledge and (not is_tls or proxy_for(url) is not None):
        return http1
    return Http2Transport(
        parsed,
        http1=http1,
        tls=_tls_context("h2", "http/1.1") if is_tls else None,
        limits=limits,
    )


def client_over(
    transport: httpx.AsyncBaseTransport,
    *,
    connect_timeout_s: float,
    event_hooks: EventHooks | None = None,
) -> httpx.AsyncClient:
    """Create a client; closing it closes the transport."""
    client = httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(None, connect=connect_timeout_s),
        headers={"Accept-Encoding": "identity"},
        event_hooks=event_hooks,
        trust_env=False,
    )
    client._cookies = _NoCookies()  # what is passed as `cookies` is copied
    return client


async def warm_up(client: httpx.AsyncClient) -> None:
    """Open a connection ahead of need; a failure is left for the request that needs it.

    HTTP/1.1 opens one for each request, and needs none ahead.
    """
    transport = client._transport
    if isinstance(transport, LazyTransport):
        transport = transport.transport
    if isinstance(transport, Http2Transport):
        with suppress(httpx.TransportError):
            await transport.warm_up(client.timeout.connect or WARM_UP_TIMEOUT_S)


def _tls_context(*protocols: str) -> ssl.SSLContext:
    """Create a context that offers `protocols` by ALPN and trusts what the system trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(protocols)
    return context


class _NoCookies(httpx.Cookies):
    """Takes no cookie. Looking for them costs more than all else that httpx does for a request."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Ignore the cookies of a response."""


def raw_chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Iterate over a body as it arrives, cheaper than `response.aiter_raw()`. Close the iterator.

    `aiter_raw` leaves the generator inside it to the garbage collector when it is not read to its
    end, and asyncio starts a task to close each.
    """
    return cast(AsyncGenerator[bytes, None], aiter(cast(httpx.AsyncByteStream, response.stream)))


async def body_start(response: httpx.Response, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the first `max_bytes` of a body, or what of it arrives within `timeout_s` seconds.

    Meant for the body of an error: one that is cut or never ends still holds a reason.
    """
    body = bytearray()
    with suppress(TimeoutError, httpx.TransportError):
        async with asyncio.timeout(timeout_s), aclosing(raw_chunks(response)) as chunks:
            while len(body) < max_bytes and (data := await anext(chunks, b"")):
                body += data
    return bytes(body[:max_bytes])
