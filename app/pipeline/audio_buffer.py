"""The bounded buffer between the synthesis of a sentence and its playout."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

MAX_BUFFERED_BYTES = 512 * 1024
"""Audio of one sentence that may wait for playout: 16 s at 16 kHz. Beyond it the provider's stream
is not read, and TCP slows the provider down."""

MAX_CHUNK_BYTES = 32 * 1024
"""Size up to which waiting chunks are joined: 1 s at 16 kHz. A message costs far more than its
bytes."""


class AudioBuffer:
    """A bounded FIFO of audio chunks; waiting chunks are joined when they are read.

    A single chunk may exceed `max_chunk_bytes`. `hold` is told of bytes that come in, and of those
    that go out as a negative number.
    """

    def __init__(
        self,
        max_bytes: int = MAX_BUFFERED_BYTES,
        max_chunk_bytes: int = MAX_CHUNK_BYTES,
        hold: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_chunk_bytes = max_chunk_bytes
        self._hold = hold
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._wanted = 0
        """Bytes below which the reader is not woken."""
        self._ended = False
        self._error: Exception | None = None
        self._change: asyncio.Future[None] | None = None
        """Resolved at the next change. Either the reader waits for it, or the writer: a buffer is
        not empty and full at once."""

    async def put(self, chunk: bytes) -> None:
        """Append a chunk. Wait while the buffer is full."""
        while self._bytes >= self._max_bytes:
            await self._wait_for_change()
        self._chunks.append(chunk)
        size = len(chunk)
        self._bytes += size
        self._hold(size)
        if self._change is not None and self._bytes >= self._wanted:
            self._on_change()

    async def gather(self, size: int, timeout_s: float) -> None:
        """Let the reader wait until `size` bytes have come, or the end; `timeout_s` at most.

        It waits for no more than the buffer holds: else reader and writer would both wait.
        """
        wanted = min(size, self._max_bytes, self._max_chunk_bytes)
        if self._ended or self._bytes >= wanted:
            return
        self._wanted = wanted
        timer = asyncio.get_running_loop().call_later(timeout_s, self._on_change)
        try:
            await self._wait_for_change()
        finally:
            timer.cancel()
            self._wanted = 0

    def clear(self) -> None:
        """Drop what has not been read."""
        self._chunks.clear()
        self._hold(-self._bytes)
        self._bytes = 0

    def end(self, error: Exception | None = None) -> None:
        """Mark the end of the audio. The reader gets `error` after the last chunk."""
        self._ended = True
        self._error = error
        if self._change is not None:
            self._on_change()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the chunks, once. Raises the error that `end` was given."""
        while True:
            while self._chunks:
                chunk = self._pop()
                self._bytes -= len(chunk)
                self._hold(-len(chunk))
                if self._change is not None:
                    self._on_change()
                yield chunk
            if self._ended:
                break
            await self._wait_for_change()
        if self._error is not None:
            raise self._error

    def _pop(self) -> bytes:
        """Remove the first chunk, joined with those after it that fit."""
        first = self._chunks.popleft()
        if not self._chunks:
            return first
        chunks, size = [first], len(first)
        while self._chunks and size + len(self._chunks[0]) <= self._max_chunk_bytes:
            size += len(self._chunks[0])
            chunks.append(self._chunks.popleft())
        return b"".join(chunks)

    async def _wait_for_change(self) -> None:
        self._change = asyncio.get_running_loop().create_future()
        await self._change

    def _on_change(self) -> None:
        change, self._change = self._change, None
        if change is not None and not change.done():
            change.set_result(None)
