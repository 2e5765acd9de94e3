"""Joins the pieces of an answer, so that they do not leave one by one."""

import asyncio
from collections.abc import Awaitable, Callable

INTERVAL_S = 0.040
"""At most one message in this time (the client protocol's promise)."""


class TokenBatcher:
    """Hands text on at once when it is quiet, and joined when it comes fast."""

    def __init__(self, emit: Callable[[str], Awaitable[None]]) -> None:
        self._emit = emit
        self._pieces: list[str] = []
        self._filled = asyncio.Event()
        self._ended = False
        self._rested = asyncio.Event()
        """Whether the next message may leave."""

    def put(self, piece: str) -> None:
        """Take a piece."""
        self._pieces.append(piece)
        self._filled.set()

    def end(self) -> None:
        """Let `run` hand on what is left, and return."""
        self._ended = True
        self._filled.set()
        self._rested.set()

    async def run(self) -> None:
        """Hand text on until the end."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            if self._pieces:
                text = "".join(self._pieces)
                self._pieces.clear()
                await self._emit(text)
            if self._ended:
                return
            await self._pause()

    async def _pause(self) -> None:
        timer = asyncio.get_running_loop().call_later(INTERVAL_S, self._rested.set)
        try:
            await self._rested.wait()
        finally:
            timer.cancel()
        self._rested.clear()
