"""How the floor asks the agent: by the usual client, or by the one that costs less."""

from collections.abc import AsyncIterator, Callable

import aiohttp
import httpx

Ask = Callable[[dict[str, str]], AsyncIterator[str | bytes]]


def by_httpx(url: str) -> Ask:
    """Ask the agent by the better known client; gives the lines of the answer."""
    limits = httpx.Limits(max_connections=None)
    http = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)  # noqa: S113

    async def ask(question: dict[str, str]) -> AsyncIterator[str | bytes]:
        async with http.stream("POST", url, json=question) as response:
            async for line in response.aiter_lines():
                yield line

    return ask


def by_aiohttp(url: str) -> Ask:
    """Ask the agent by the client that costs less, which is the gateway's."""
    unbounded = aiohttp.TCPConnector(limit=0)
    http = aiohttp.ClientSession(connector=unbounded, timeout=aiohttp.ClientTimeout(None))

    async def ask(question: dict[str, str]) -> AsyncIterator[str | bytes]:
        async with http.post(url, json=question) as response:
            async for line in response.content:
                yield line

    return ask


CLIENTS: dict[str, Callable[[str], Ask]] = {"httpx": by_httpx, "aiohttp": by_aiohttp}
