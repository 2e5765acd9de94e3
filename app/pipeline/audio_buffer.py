"""Audio between the one who makes it and the one who plays it, bounded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

LIMIT_BYTES = 512 * 1024
"""Audio of one sentence that may wait to be played: 16 s at 16 kHz; beyond it TCP slows the
provider down."""


JOIN_BYTES = 32 * 1024
"""Chunks that wait together are joined up to this size, a second at 16 kHz: every message costs
far more than its bytes. Nothing waits to be joined."""


class AudioBuffer:
    """Takes chunks, waits while it is full, and gives them out in order, joined when several wait.

    A chunk may exceed `join_bytes` by itself.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES, join_bytes: int = JOIN_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._join_bytes = join_bytes
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Add a chunk; wait while those before it exceed the bound."""
        while self._bytes >= self._limit_bytes:
            await self._change()
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        """Say that no more comes, and why if that is not as it should be."""
        self._ended = True
        self._error = error
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the chunks, once. Raises what ended them."""
        while True:
            while self._chunks:
                chunk = self._take()
                self._bytes -= len(chunk)
                self._changed.set()
                yield chunk
            if self._ended:
                break
            await self._change()
        if self._error is not None:
            raise self._error

    def _take(self) -> bytes:
        taken = [self._chunks.popleft()]
        size = len(taken[0])
        while self._chunks and size + len(self._chunks[0]) <= self._join_bytes:
            size += len(self._chunks[0])
            taken.append(self._chunks.popleft())
        return b"".join(taken) if len(taken) > 1 else taken[0]

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
