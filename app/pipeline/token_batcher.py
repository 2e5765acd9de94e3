"""Joins the agent's tokens, so that each does not cost the client a message."""

import asyncio
from collections.abc import Awaitable, Callable

INTERVAL_S = 0.040
"""Shortest time between two `token` messages: the client protocol guarantees it."""


class TokenBatcher:
    """Emits the first token at once, and joins those that follow within the interval."""

    def __init__(self, emit: Callable[[str], Awaitable[None]]) -> None:
        self._emit = emit
        self._tokens: list[str] = []
        self._filled = asyncio.Event()
        self._ended = False
        self._interval_over = asyncio.Event()

    def put(self, token: str) -> None:
        """Add a token."""
        self._tokens.append(token)
        self._filled.set()

    def end(self) -> None:
        """Let `run` emit what is left, and return."""
        self._ended = True
        self._filled.set()
        self._interval_over.set()

    async def run(self) -> None:
        """Emit tokens until the end."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            if self._tokens:
                text = "".join(self._tokens)
                self._tokens.clear()
                await self._emit(text)
            if self._ended:
                return
            await self._wait_interval()

    async def _wait_interval(self) -> None:
        timer = asyncio.get_running_loop().call_later(INTERVAL_S, self._interval_over.set)
        try:
            await self._interval_over.wait()
        finally:
            timer.cancel()
        self._interval_over.clear()
