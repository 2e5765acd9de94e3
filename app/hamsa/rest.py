"""The provider's REST side: one client for all sessions, with its key, its errors, its bounds."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import orjson
import structlog

from app import errors
from app.hamsa import wire
from app.net.bounded_json import TooManyValuesError, check_values
from app.net.client import body_start, client_over, http2_transport, raw_chunks
from app.net.failures import NOT_CONNECTED
from app.net.http2 import Http2Transport
from app.net.limits import DEFAULT_LIMITS, HttpLimits
from app.net.request import RequestTemplate
from app.net.response import content_encoding
from app.net.url import at_host, host_of, web_url
from app.telemetry.availability import Availability
from app.telemetry.request_ids import request_id_in

log = structlog.get_logger(__name__)

ERROR_BODY_TIMEOUT_S = 1.0
"""Longest wait for the body of an error, which may never end."""

KEEP_ALIVE_S = 55.0
"""How long an idle HTTP/1.1 connection is kept; most servers close one after 60 s."""

MAX_HTTP1_CONNECTIONS = 500
"""Each carries one request at a time. A request that gets none in time fails to connect."""

OK = 200


class HamsaResponse:
    """A good response whose body is still to come."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.http_version = response.http_version
        self.reused = bool(response.extensions.get("reused"))
        """Whether the connection had carried a request before."""
        self.request_id = request_id_in(response.headers)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the body as it arrives. Raises `ConnectionLostError` when it is cut."""
        try:
            async with aclosing(raw_chunks(self._response)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except httpx.TransportError as error:
            raise errors.ConnectionLostError(f"body cut: {error}") from None


class HamsaClient:
    """Sends requests to the REST API.

    Never follows a redirect: the key would be sent along. Speaks HTTP/2 where TLS negotiates it,
    or, with `http2_prior_knowledge`, without TLS; HTTP/1.1 otherwise, and through a proxy.
    `transport` replaces the one that is built by these rules.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        connect_timeout_s: float,
        http2_prior_knowledge: bool = False,
        limits: HttpLimits = DEFAULT_LIMITS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # httpx would send a name in the URL in the place of the key
        self._url = web_url(base_url).copy_with(username=None, password=None)
        self._host = host_of(base_url)
        self._availability = Availability(
            "no connection could be opened", "connections can be opened again"
        )
        self._headers = httpx.Headers(
            {
                "authorization": f"Token {key}",
                "content-type": "application/json",
                "accept-encoding": "identity",
            }
        )
        self._templates: dict[str, RequestTemplate] = {}
        self._connect_timeout_s = connect_timeout_s
        self._transport = transport or http2_transport(
            base_url,
            keep_alive_s=KEEP_ALIVE_S,
            max_connections=MAX_HTTP1_CONNECTIONS,
            prior_knowledge=http2_prior_knowledge,
            limits=limits,
        )
        self._http = client_over(self._transport, connect_timeout_s=connect_timeout_s)

    def __repr__(self) -> str:
        return f"<HamsaClient {self._url.host} {self._transport}>"

    @asynccontextmanager
    async def post(self, path: str, payload: dict[str, Any]) -> AsyncIterator[HamsaResponse]:
        """Send one request, and enter the context when the headers of a good response have arrived.

        Raises the error for the status, `ConnectError` or `ConnectionLostError`. Leaving the
        context ends the request, finished or not.
        """
        with at_host(self._host):
            response = await self._send(path, orjson.dumps(payload))
            self._availability.on_success()
            try:
                hamsa_response = HamsaResponse(response)
                log.info(
                    "Reusing existing connection"
                    if hamsa_response.reused
                    else "Creating new persistent connection",
                    path=path,
                    http_version=hamsa_response.http_version,
                    status=response.status_code,
                )
                if (encoding := content_encoding(response)) is not None:
                    raise errors.ProtocolError(f"Content-Encoding: {encoding}; none is accepted")
                if response.status_code != OK:
                    refusal = await _error_of(response)
                    refusal.request_id = hamsa_response.request_id
                    raise refusal
                yield hamsa_response
            finally:
                await response.aclose()

    async def post_whole(self, path: str, payload: dict[str, Any], max_bytes: int) -> bytes:
        """Send one request, return the whole body: JSON that can be parsed in one step.

        Raises `ProtocolError` when it is longer than `max_bytes`, or holds too many values.
        """
        async with self.post(path, payload) as response, aclosing(response.chunks()) as chunks:
            body = bytearray()
            async for chunk in chunks:
                body += chunk
                if len(body) > max_bytes:
                    raise errors.ProtocolError(f"the response exceeds {max_bytes} bytes")
        try:
            check_values(body)
        except TooManyValuesError as error:
            raise errors.ProtocolError(str(error)) from None
        return bytes(body)

    async def warm_up(self) -> None:
        """Open a connection ahead of need; a failure is left for the request that needs it."""
        if not isinstance(self._transport, Http2Transport):
            return
        try:
            await self._transport.warm_up(self._connect_timeout_s)
        except httpx.TransportError as error:
            failure = errors.ConnectError(str(error))
            failure.host = self._host
            self._availability.on_failure(failure)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _send(self, path: str, body: bytes) -> httpx.Response:
        try:
            return await self._http.send(self._template(path).build(body), stream=True)
        except NOT_CONNECTED as error:
            raise errors.ConnectError(f"no connection: {error}") from None
        except httpx.TransportError as error:
            raise errors.ConnectionLostError(f"no response: {error}") from None

    def _template(self, path: str) -> RequestTemplate:
        if path not in self._templates:
            url = self._url.copy_with(path=path)
            self._templates[path] = RequestTemplate("POST", url, self._headers)
        return self._templates[path]


async def _error_of(response: httpx.Response) -> errors.ProviderError:
    if 300 <= response.status_code < 400:
        return errors.ConnectError(f"refused to follow a redirect (HTTP {response.status_code})")
    body = await body_start(
        response, max_bytes=wire.MAX_ERROR_BODY_BYTES, timeout_s=ERROR_BODY_TIMEOUT_S
    )
    retry_after_s = wire.retry_after_s(response.headers.get("retry-after"))
    return wire.error_from_status(response.status_code, body, retry_after_s)
