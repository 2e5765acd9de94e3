"""How the baseline asks the agent: with httpx, or with aiohttp, which costs less."""

from collections.abc import AsyncIterator, Callable

import aiohttp
import httpx

Ask = Callable[[dict[str, str]], AsyncIterator[str | bytes]]
"""Sends a question and yields the lines of the agent's response."""


def with_httpx(url: str) -> Ask:
    """Return a function that asks the agent with httpx, the better known client."""
    limits = httpx.Limits(max_connections=None)
    http = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)  # noqa: S113

    async def ask(question: dict[str, str]) -> AsyncIterator[str | bytes]:
        async with http.stream("POST", url, json=question) as response:
            async for line in response.aiter_lines():
                yield line

    return ask


def with_aiohttp(url: str) -> Ask:
    """Return a function that asks the agent with aiohttp, which costs a fraction."""
    unbounded = aiohttp.TCPConnector(limit=0)
    http = aiohttp.ClientSession(connector=unbounded, timeout=aiohttp.ClientTimeout(None))

    async def ask(question: dict[str, str]) -> AsyncIterator[str | bytes]:
        async with http.post(url, json=question) as response:
            async for line in response.content:
                yield line

    return ask


AGENT_CLIENTS: dict[str, Callable[[str], Ask]] = {"httpx": with_httpx, "aiohttp": with_aiohttp}
