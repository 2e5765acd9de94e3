"""What arrives at once, passed on in slices, so that no peer holds the event loop.

A read may return 256 KB. As audio that is one frame or a few; as the smallest frames or lines that
a protocol allows it is tens of thousands, and seconds of work.
"""

import asyncio
from collections.abc import Callable

SLICE_BYTES = 4 * 1024
"""Bytes that are processed at a time: 450 of HTTP/2's smallest frames, which take 10 ms."""


class SlicedInput:
    """Hands what arrives to `process`, at most a slice in one step of the loop.

    Meanwhile `pause` has stopped the reading, which `resume` allows again. What `process` does not
    want yet waits after `hold` until `release`; what it does not want any more is dropped by
    `clear`.
    """

    def __init__(
        self,
        process: Callable[[bytes], None],
        *,
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self._process = process
        self._pause = pause
        self._resume = resume
        self._backlog = bytearray()
        self._is_held = False
        self._is_scheduled = False
        self._when_empty: Callable[[], None] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all that arrived has been processed."""
        return not self._backlog

    @property
    def size_bytes(self) -> int:
        """How much waits to be processed."""
        return len(self._backlog)

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if not self._backlog and not self._is_held and len(data) <= SLICE_BYTES:
            self._process(data)
            return
        self._pause()
        self._backlog += data
        self._schedule()

    def hold(self) -> None:
        """Process nothing for now."""
        self._is_held = True

    def release(self) -> None:
        """Go on after `hold`."""
        self._is_held = False
        self._schedule()

    def clear(self) -> None:
        """Drop what has not been processed."""
        self._backlog.clear()
        self._run_when_empty()

    def when_empty(self, action: Callable[[], None]) -> None:
        """Call `action` when all has been processed or dropped; at once if it has."""
        self._when_empty = action
        if not self._backlog:
            self._run_when_empty()

    def _schedule(self) -> None:
        if self._backlog and not self._is_held and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._is_scheduled = False
        if self._is_held:
            return
        data = bytes(self._backlog[:SLICE_BYTES])
        if data:
            self._process(data)
            del self._backlog[: len(data)]  # only now: until then more must wait behind it
        if self._backlog:
            self._schedule()
            return
        self._resume()
        self._run_when_empty()

    def _run_when_empty(self) -> None:
        if (action := self._when_empty) is not None:
            self._when_empty = None
            action()
