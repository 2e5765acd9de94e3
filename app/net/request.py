"""Requests that differ in their body, and in few headers."""

from collections.abc import Mapping
from types import MappingProxyType

import httpx

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class RequestTemplate:
    """Builds requests to one URL with the same headers, in a third of httpx's time.

    `httpx.Request(content=…)` finds out anew each time what host and body make of the headers.
    """

    def __init__(self, method: str, url: httpx.URL, headers: httpx.Headers) -> None:
        self._method = method
        self._url = url
        self._fields = [(b"Host", url.netloc), *headers.raw]

    def build(self, body: bytes, extra: Mapping[str, str] = NO_HEADERS) -> httpx.Request:
        """Build a request that carries `body`, and headers of its own, of ASCII alone."""
        own = [(name.encode("ascii"), value.encode("ascii")) for name, value in extra.items()]
        headers = httpx.Headers([*self._fields, (b"Content-Length", b"%d" % len(body)), *own])
        stream = httpx.ByteStream(body)
        request = httpx.Request(self._method, self._url, headers=headers, stream=stream)
        request.read()
        return request
