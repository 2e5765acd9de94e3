"""The provider's REST side: one client for all sessions, with its key, its errors, its bounds."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import structlog

from app import errors
from app.hamsa import wire
from app.hamsa.http2 import Http2Connection
from app.http1 import BrokenOffError, Http1Client, NotConnectedError, proxy_for, tls_context

log = structlog.get_logger(__name__)

ERROR_BODY_BYTES = 4096
"""As much of an error's body as is read for its reason."""

ERROR_BODY_TIMEOUT_S = 1.0
"""Longest wait for that body: an error body may never end."""

KEEP_ALIVE_S = 55.0
"""How long an idle HTTP/1.1 connection is kept; most servers close one after 60 s."""

MAX_HTTP1_CONNECTIONS = 500
"""Each carries one request at a time; a wait for one counts as no connection."""

OK = 200


@dataclass(frozen=True, slots=True)
class HamsaResponse:
    """An answer whose headers are there, and whose body is on its way.

    `chunks` iterates over the body and raises `ConnectionLostError` when it is cut.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Callable[[], AsyncGenerator[bytes, None]]
    http_version: str
    reused: bool


class HamsaClient:
    """Sends requests to the REST API.

    Never follows a redirect: the key would travel with it. Speaks HTTP/2 where TLS agrees on it,
    or, with `http2_prior_knowledge`, on plain text; HTTP/1.1 otherwise, and through a proxy.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        connect_timeout_s: float,
        http2_prior_knowledge: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._scheme = parts.scheme
        self._headers = {
            "authorization": f"Token {key}",
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls_context("h2", "http/1.1") if parts.scheme == "https" else None
        self._speaks_http2 = http2_prior_knowledge or (
            parts.scheme == "https" and proxy_for(base_url) is None
        )
        self._connections: list[Http2Connection] = []
        self._opening = asyncio.Lock()
        self._http1 = Http1Client(
            base_url,
            connect_timeout_s=connect_timeout_s,
            keep_alive_s=KEEP_ALIVE_S,
            max_connections=MAX_HTTP1_CONNECTIONS,
        )

    def __repr__(self) -> str:
        return f"<HamsaClient {self._host} {self._connections}>"

    @asynccontextmanager
    async def post(self, path: str, payload: dict[str, Any]) -> AsyncIterator[HamsaResponse]:
        """Send one request, and enter when the headers of a good answer are there.

        Raises what the status means, `ConnectError` or `ConnectionLostError`. Leaving the context
        ends the request, finished or not.
        """
        body = orjson.dumps(payload)
        connection = await self._http2() if self._speaks_http2 else None
        exchange = (
            self._over_http1(path, body)
            if connection is None
            else self._over_http2(connection, path, body)
        )
        async with exchange as response:
            log.info(
                "Reusing existing connection"
                if response.reused
                else "Creating new persistent connection",
                path=path,
                http_version=response.http_version,
                status=response.status,
            )
            if response.status != OK:
                raise await _error_of(response)
            yield response

    async def post_whole(self, path: str, payload: dict[str, Any], max_bytes: int) -> bytes:
        """Send one request, return the whole body. Raises `ProtocolError` when it is too long."""
        async with self.post(path, payload) as response, aclosing(response.chunks()) as chunks:
            body = bytearray()
            async for chunk in chunks:
                body += chunk
                if len(body) > max_bytes:
                    raise errors.ProtocolError(f"the answer exceeds {max_bytes} bytes")
            return bytes(body)

    async def warm_up(self) -> None:
        """Open a connection ahead of need; a failure is left for the request that needs it."""
        try:
            if self._speaks_http2:
                await self._http2()
        except errors.ProviderError as error:
            log.warning("no connection could be opened", code=error.code, reason=str(error))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http1.aclose()
        await asyncio.gather(*(connection.aclose() for connection in self._connections))
        self._connections.clear()

    async def _http2(self) -> Http2Connection | None:
        """Return a connection that can take a request; None when the peer speaks HTTP/1.1 only."""
        async with self._opening:
            self._connections = [c for c in self._connections if not c.closed.is_set()]
            for connection in self._connections:
                if connection.is_usable:
                    return connection
            try:
                async with asyncio.timeout(self._connect_timeout_s):
                    opened = await Http2Connection.open(self._host, self._port, self._tls)
            except TimeoutError:
                raise errors.ConnectError(
                    f"no connection within {self._connect_timeout_s} s"
                ) from None
            except OSError as error:
                raise errors.ConnectError(f"no connection: {type(error).__name__}") from None
            if opened is None:
                self._speaks_http2 = False
            else:
                self._connections.append(opened)
            return opened

    @asynccontextmanager
    async def _over_http2(
        self, connection: Http2Connection, path: str, body: bytes
    ) -> AsyncIterator[HamsaResponse]:
        stream = connection.start_request(
            [
                (":method", "POST"),
                (":scheme", self._scheme),
                (":authority", self._authority),
                (":path", path),
                *self._headers.items(),
            ]
        )
        try:
            await stream.send_body(body)
            headers = await stream.headers()
            if not (status := headers[":status"]).isdecimal():
                raise errors.ProtocolError("the status is no number")
            yield HamsaResponse(int(status), headers, stream.chunks, "HTTP/2", stream.is_reuse)
        finally:
            stream.close()

    @asynccontextmanager
    async def _over_http1(self, path: str, body: bytes) -> AsyncIterator[HamsaResponse]:
        try:
            response = await self._http1.post(body, self._headers, path)
        except NotConnectedError as error:
            raise errors.ConnectError(f"no connection: {error}") from None
        except BrokenOffError as error:
            raise errors.ConnectionLostError(f"no answer: {error}") from None

        async def chunks() -> AsyncGenerator[bytes, None]:
            try:
                while chunk := await response.read():
                    yield chunk
            except BrokenOffError as error:
                raise errors.ConnectionLostError(f"body cut: {error}") from None

        try:
            yield HamsaResponse(
                response.status, response.headers, chunks, "HTTP/1.1", response.reused
            )
        finally:
            response.close()


async def _error_of(response: HamsaResponse) -> errors.ProviderError:
    if 300 <= response.status < 400:
        return errors.ConnectError(f"refused to follow a redirect (HTTP {response.status})")
    return wire.error_from_status(
        response.status,
        await _error_body(response),
        wire.retry_after_s(response.headers.get("retry-after")),
    )


async def _error_body(response: HamsaResponse) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(ERROR_BODY_TIMEOUT_S), aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= ERROR_BODY_BYTES:
                    break
    except (TimeoutError, errors.ProviderError):
        return body[:ERROR_BODY_BYTES]  # what came tells as much as it can
    return body[:ERROR_BODY_BYTES]
