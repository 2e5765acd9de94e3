"""HTTP/2 behind the interface of httpx, for one origin.

httpx speaks HTTP/2 too, but httpcore never resets a stream that is cancelled: the server would go
on, and each barge-in would use up some of the connection's flow-control window until all requests
hang. Here, closing a response is synchronous and tells the server at once.
"""

import asyncio
import re
import ssl

import httpx
import structlog

from app.net.failures import NotProcessedError, connect_failure_of
from app.net.http2_connection import Http2Connection
from app.net.http2_stream import Header, Http2Stream
from app.net.limits import DEFAULT_LIMITS, HttpLimits
from app.net.response import build_response
from app.timeouts import stall_tolerant_timeout

log = structlog.get_logger(__name__)

MAX_SENDS = 10
"""How often one request is sent in all while servers say that they have not processed it. Where a
server limits the requests of a connection, a burst is spread over several, one after another: with
three requests a connection, one of eight callers was refused five times."""

_HTTP1_HEADERS = {b"host", b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
"""What HTTP/2 says otherwise, or does not allow."""

_LINE_BREAK = re.compile(rb"[\r\n\0]")


class Http2Transport(httpx.AsyncBaseTransport):
    """Multiplexes the requests to the origin of `url` over as few connections as it takes.

    Requests go by `http1` where TLS does not agree on HTTP/2, and to any other origin. Without
    `tls` HTTP/2 is spoken on plain text. Create it where a loop runs.
    """

    def __init__(
        self,
        url: httpx.URL,
        *,
        http1: httpx.AsyncBaseTransport,
        tls: ssl.SSLContext | None,
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> None:
        self._origin = _origin_of(url)
        self._http1 = http1
        self._tls = tls
        self._limits = limits
        self._agreed = True
        """Whether the server speaks HTTP/2, as far as is known."""
        self._connections: list[Http2Connection] = []
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Http2Transport {self._connections}>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and wait for the response's headers. Raises `httpx.TransportError`.

        Sends it again, on another connection, when the server says that it has not processed it.
        """
        if not self._agreed or _origin_of(request.url) != self._origin:
            return await self._http1.handle_async_request(request)
        body = await request.aread()
        connect_timeout_s = request.extensions.get("timeout", {}).get("connect")
        refused: list[Http2Connection] = []
        while connection := await self._connection(connect_timeout_s, refused):
            try:
                return await _exchange(connection, request, body)
            except NotProcessedError as error:
                refused.append(connection)
                if len(refused) == MAX_SENDS:
                    raise
                log.debug("request sent again", reason=str(error), refused=len(refused))
        return await self._http1.handle_async_request(request)

    async def warm_up(self, connect_timeout_s: float | None) -> None:
        """Open a connection ahead of need. Raises `httpx.TransportError`."""
        if self._agreed:
            await self._connection(connect_timeout_s, [])

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http1.aclose()
        await asyncio.gather(*(connection.aclose() for connection in self._connections))
        self._connections.clear()

    async def _connection(
        self, connect_timeout_s: float | None, refused: list[Http2Connection]
    ) -> Http2Connection | None:
        """Return a connection that can take a request and is none of `refused`.

        None when the server speaks HTTP/1.1 only. Requests are served in the order in which they
        come, also those that wait while a connection is opened: a burst opens one, and what was
        given back by one connection is the first on the next.
        """
        async with self._opening:
            if (ready := self._usable(refused)) or not self._agreed:
                return ready
            opened = await self._open(connect_timeout_s)
            if opened is None:
                self._agreed = False
            else:
                self._connections.append(opened)
            return opened

    def _usable(self, refused: list[Http2Connection]) -> Http2Connection | None:
        self._connections = [each for each in self._connections if not each.closed.is_set()]
        for connection in self._connections:
            if connection.is_usable and connection not in refused:
                return connection
        return None

    async def _open(self, connect_timeout_s: float | None) -> Http2Connection | None:
        _, host, port = self._origin
        try:
            async with stall_tolerant_timeout(connect_timeout_s):
                return await Http2Connection.open(
                    host.decode("ascii"), port, self._tls, self._limits
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"timed out after {connect_timeout_s} s") from None
        except OSError as error:
            raise connect_failure_of(error) from None


async def _exchange(
    connection: Http2Connection, request: httpx.Request, body: bytes
) -> httpx.Response:
    stream = connection.start_request(_headers_of(request))
    try:
        await stream.send_body(body)
        return _response_of(await stream.response_headers(), stream)
    except BaseException:
        stream.close()
        raise


def _headers_of(request: httpx.Request) -> list[Header]:
    """Return the headers as HTTP/2 has them; h2 itself does not look for line breaks."""
    url = request.url
    fields = [
        (lower, value)
        for name, value in request.headers.raw
        if (lower := name.lower()) not in _HTTP1_HEADERS
    ]
    if _LINE_BREAK.search(b"".join([value for _, value in fields])):
        raise httpx.LocalProtocolError("a header holds a line break")
    return [
        (b":method", request.method.encode("ascii")),
        (b":scheme", url.raw_scheme),
        (b":authority", url.netloc),
        (b":path", url.raw_path),
        *fields,
    ]


def _response_of(headers: list[Header], stream: Http2Stream) -> httpx.Response:
    status = dict(headers).get(b":status", b"")
    if not (status.isdigit() and len(status) == 3):
        raise httpx.RemoteProtocolError("the status is not a number of three digits")
    fields = [field for field in headers if not field[0].startswith(b":")]
    return build_response(int(status), fields, stream, http_version=b"HTTP/2", reused=stream.reused)


def _origin_of(url: httpx.URL) -> tuple[bytes, bytes, int]:
    return url.raw_scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80)
