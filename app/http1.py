"""HTTP/1.1 to the agent and to the provider: connections that serve again, and lose nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from app.errors import ConfigurationError

WRITE_BYTES = 64 * 1024
"""A body is written in pieces of this size: the usual buffer of a socket."""

STALE_WITHIN_S = 1.0
"""A connection that the server has closed shows so within a round trip. A later loss may be that of
a request which is being worked on, and a second one could book twice."""


class Http1Error(Exception):
    """A request that got no whole answer. The text names no address, for it may hold a secret."""


class NotConnectedError(Http1Error):
    """No connection was to be had, or none in time."""


class BrokenOffError(Http1Error):
    """The connection was lost on the way."""


@dataclass(slots=True)
class _Watch:
    """What is seen of one request's connection."""

    reused_at: float | None = None
    """When it was taken from those that are idle, in loop time."""


class Http1Response:
    """An answer whose headers are there, and whose body is on its way. Close it."""

    def __init__(self, response: aiohttp.ClientResponse, *, reused: bool) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.reused = reused
        """Whether the connection had served before."""
        self._response = response

    async def read(self) -> bytes:
        """Return what has come of the body, empty at its end. Raises `BrokenOffError`."""
        content = self._response.content
        try:
            return await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp withholds what came before the loss
            if rest := content._read_nowait(-1):
                return rest
            raise BrokenOffError(type(error).__name__) from None

    def close(self) -> None:
        """Let the connection serve again if the body was read to its end, else close it."""
        self._response.close()


class Http1Client:
    """Sends requests to one host. Follows no redirect, keeps no cookie, asks for no compression.

    Only connecting is timed here, the wait for one of `max_connections` included; an idle one is
    kept for `keep_alive_s`. Uses the proxy that the environment names, except on loopback. Must
    be made where a loop runs. Raises `ConfigurationError` for a URL or a proxy that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout_s: float,
        keep_alive_s: float,
        max_connections: int,
    ) -> None:
        self._url = url_of(url)
        self._proxy = proxy_for(url)
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=max_connections,
                keepalive_timeout=keep_alive_s,
                ssl=tls_context("http/1.1") if self._url.scheme == "https" else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout_s),
            trace_configs=[trace],
        )

    async def post(
        self, body: bytes, headers: Mapping[str, str], path: str | None = None
    ) -> Http1Response:
        """Send a request to `path`, or to the client's own, and wait for the headers.

        Sends it again when an idle connection turns out to have been closed: after a restart of
        the server all that are idle may be, and each is met once. Raises `NotConnectedError` and
        `BrokenOffError`.
        """
        fields = CIMultiDict(headers)
        fields["Content-Length"] = str(len(body))
        url = self._url if path is None else self._url.with_path(path)
        while True:
            watch = _Watch()
            try:
                response = await self._send(url, body, fields, watch)
            except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
                raise NotConnectedError(type(error).__name__) from None
            except (aiohttp.ClientError, OSError) as error:
                if not _was_stale(error, watch):
                    raise BrokenOffError(type(error).__name__) from None
            else:
                return Http1Response(response, reused=watch.reused_at is not None)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(
        self, url: URL, body: bytes, headers: CIMultiDict[str], watch: _Watch
    ) -> aiohttp.ClientResponse:
        return await self._session.post(
            url,
            data=body if len(body) <= WRITE_BYTES else _pieces(body),
            headers=headers,
            proxy=self._proxy,
            allow_redirects=False,
            trace_request_ctx=watch,
        )


def url_of(url: str) -> URL:
    """Read a URL. Raises `ConfigurationError` if it is none; the text does not hold it."""
    try:
        read = URL(url)
        host = (read.host or "").encode("idna")  # as it will be when it is looked up
    except ValueError:
        host = b""
    if not host or read.scheme not in ("http", "https"):
        raise ConfigurationError("the address is no URL of a web server")
    return read


def tls_context(*protocols: str) -> ssl.SSLContext:
    """Make a context that offers `protocols` and trusts whom the system trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(protocols)
    return context


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`; None where none is to be used.

    Raises `ConfigurationError` for one that is none, or speaks something else.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _is_loopback(host) or proxy_bypass(host):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        url_of(proxy)
    except ConfigurationError:
        told = f"{parts.scheme}_proxy, all_proxy: must be the address of a proxy by HTTP"
        raise ConfigurationError(told) from None
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), WRITE_BYTES):
        yield body[start : start + WRITE_BYTES]


async def _note_reuse(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx.reused_at = asyncio.get_running_loop().time()


def _was_stale(error: Exception, watch: _Watch) -> bool:
    """Tell, after a failure, whether the server had closed the connection beforehand."""
    unanswered = isinstance(error, aiohttp.ClientOSError) or (
        # else the message holds what had come of an answer
        isinstance(error, aiohttp.ServerDisconnectedError) and isinstance(error.message, str)
    )
    if watch.reused_at is None or not unanswered:
        return False
    return asyncio.get_running_loop().time() - watch.reused_at < STALE_WITHIN_S
