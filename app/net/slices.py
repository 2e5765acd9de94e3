"""What arrives at once, passed on in slices, so that no peer holds the event loop.

A read may return 256 KB. As audio that is one frame or a few; as the smallest frames or lines that
a protocol allows it is tens of thousands, and seconds of work.
"""

import asyncio
import time
from collections.abc import Callable

SLICE_BYTES = 4 * 1024
"""Bytes of the first slice: 450 of HTTP/2's smallest frames, which take 10 ms."""

MAX_SLICE_BYTES = 16 * 1024
"""After a quick slice the next may be twice as long, up to this: 40 ms, should it hold nothing but
the smallest frames; then slices are short again. Audio in slices of 4 KB cost a tenth of all
CPU."""

STEP_S = 0.005
"""After so long others have their turn."""


class SlicedInput:
    """Hands what arrives to `process` in slices, for `STEP_S` in one step of the loop.

    While more waits, `pause` has stopped the reading, which `resume` allows again. What `process`
    does not want yet waits after `hold` until `release`; what it does not want any more is dropped
    by `clear`.
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
        self._slice_bytes = SLICE_BYTES
        self._is_held = False
        self._is_scheduled = False
        self._has_paused = False
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
        size = len(data)
        if size <= self._slice_bytes and not self._backlog and not self._is_held:
            if size <= SLICE_BYTES:
                self._process(data)
            else:
                self._process_slice(data, time.monotonic())
            return
        self._backlog += data
        if not self._is_scheduled:
            self._step()
        if self._backlog:
            self._has_paused = True
            self._pause()  # in each case: a slow reader's own library may have resumed it

    def hold(self) -> None:
        """Process nothing for now."""
        self._is_held = True

    def release(self) -> None:
        """Go on after `hold`."""
        self._is_held = False
        if self._backlog:
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
        now = time.monotonic()
        deadline = now + STEP_S
        while self._backlog and not self._is_held:
            data = bytes(self._backlog[: self._slice_bytes])
            now = self._process_slice(data, now)
            del self._backlog[: len(data)]  # only now: until then more must wait behind it
            if now >= deadline:
                break
        if self._backlog:
            self._schedule()
            return
        if self._has_paused:
            self._has_paused = False
            self._resume()
        self._run_when_empty()

    def _process_slice(self, data: bytes, now: float) -> float:
        """Process one slice, choose the length of the next, and return the time."""
        self._process(data)
        ended_at = time.monotonic()
        if ended_at - now >= STEP_S:
            self._slice_bytes = SLICE_BYTES
        elif len(data) == self._slice_bytes:
            self._slice_bytes = min(2 * self._slice_bytes, MAX_SLICE_BYTES)
        return ended_at

    def _run_when_empty(self) -> None:
        if (action := self._when_empty) is not None:
            self._when_empty = None
            action()
