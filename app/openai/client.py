"""Requests to the audio API: one HTTP client, its key, its errors."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import httpx
import orjson

from app import errors
from app.net.client import body_start, raw_chunks, warm_up
from app.net.failures import NOT_CONNECTED
from app.net.response import content_encoding
from app.net.url import at_host, host_of
from app.openai.settings import OpenAISettings
from app.plugins import PluginContext
from app.telemetry.request_ids import request_id_in

MAX_ERROR_BODY_BYTES = 4096
"""How much of an error's body is read for its reason."""

ERROR_BODY_TIMEOUT_S = 1.0
"""Longest wait for the body of an error, which may never end."""

MAX_REASON_CHARS = 200

MAX_RETRY_AFTER_S = 3600.0

OK = 200


class OpenAIClient:
    """Sends requests to the API of one server."""

    def __init__(self, context: PluginContext[OpenAISettings]) -> None:
        settings = context.settings
        self._base_url = settings.base_url
        self._host = host_of(settings.base_url)
        key = settings.api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._http = context.http_client(settings.base_url)

    def __repr__(self) -> str:
        return f"<OpenAIClient {httpx.URL(self._base_url).host}>"

    @asynccontextmanager
    async def post(
        self, path: str, content: bytes, content_type: str
    ) -> AsyncIterator[httpx.Response]:
        """Send one request, and enter the context when a good response begins.

        Raises the error for the status, `ConnectError` or `ConnectionLostError`.
        """
        request = self._http.build_request(
            "POST",
            self._base_url + path,
            content=content,
            headers={**self._headers, "Content-Type": content_type},
        )
        with at_host(self._host):
            try:
                response = await self._http.send(request, stream=True)
            except NOT_CONNECTED as error:
                raise errors.ConnectError(f"no connection: {error}") from None
            except httpx.TransportError as error:
                raise errors.ConnectionLostError(f"no response: {error}") from None
            try:
                if (encoding := content_encoding(response)) is not None:
                    raise errors.ProtocolError(f"Content-Encoding: {encoding}; none is accepted")
                if response.status_code != OK:
                    refusal = await _error_of(response)
                    refusal.request_id = request_id_in(response.headers)
                    raise refusal
                yield response
            finally:
                await response.aclose()

    async def warm_up(self) -> None:
        """Open a connection ahead of need."""
        await warm_up(self._http)


async def chunks_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Iterate over the body as it arrives. Raises `ConnectionLostError` when it is cut."""
    try:
        async with aclosing(raw_chunks(response)) as chunks:
            async for chunk in chunks:
                yield chunk
    except httpx.TransportError as error:
        raise errors.ConnectionLostError(f"body cut: {error}") from None


async def _error_of(response: httpx.Response) -> errors.ProviderError:
    if response.is_redirect:
        return errors.ConnectError(f"refused to follow a redirect (HTTP {response.status_code})")
    body = await body_start(
        response, max_bytes=MAX_ERROR_BODY_BYTES, timeout_s=ERROR_BODY_TIMEOUT_S
    )
    return error_from_status(response.status_code, body, response.headers)


def error_from_status(status: int, body: bytes, headers: Mapping[str, str]) -> errors.ProviderError:
    """Map an HTTP status and a body `{"error": {"code", "message"}}` to an error."""
    code, message = _code_and_message(body)
    text = f"provider returned HTTP {status}" + (f": {message}" if message else "")
    if code == "insufficient_quota" or status == 402:
        return errors.QuotaExceededError(text)
    if status == 429:
        return errors.RateLimitedError(text, _retry_after_s(headers.get("retry-after")))
    if status in (401, 403):
        return errors.AuthenticationError(text)
    if status >= 500 or status in (408, 409) or code == "server_error":
        return errors.ProviderUnavailableError(text)
    return errors.RefusedError(text)


def _code_and_message(body: bytes) -> tuple[str, str]:
    try:
        error = orjson.loads(body)["error"]
        return str(error.get("code") or ""), str(error.get("message") or "")[:MAX_REASON_CHARS]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "", ""


def _retry_after_s(header: str | None) -> float | None:
    """Read a `Retry-After` header in seconds; None for a date, or an hour or more."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < MAX_RETRY_AFTER_S else None
