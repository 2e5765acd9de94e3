"""A transport that is made at its first request."""

from collections.abc import Callable

import httpx


class LazyTransport(httpx.AsyncBaseTransport):
    """Makes its transport when it is first used: ours can only be made while a loop runs."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._made: httpx.AsyncBaseTransport | None = None

    def __repr__(self) -> str:
        return f"<LazyTransport {self._made}>"

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """The transport, made if it was not."""
        if self._made is None:
            self._made = self._make()
        return self._made

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        return await self.transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transport, if it was made."""
        if self._made is not None:
            await self._made.aclose()
