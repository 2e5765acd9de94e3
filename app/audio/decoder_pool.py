"""DecoderPool: a few decoder processes for all sessions, and a bounded queue before them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.audio.decoder_process import (
    DecoderDiedError,
    DecoderLimits,
    DecoderProcess,
    DecoderTimeoutError,
)
from app.errors import DecoderBusyError, NabraError

SURPLUS_IDLE_S = 5.0
"""How long a process may be idle when another one is."""

IDLE_S = 300.0
"""How long the last process may be idle: it spares the next recording a start of 0.1 s."""


LARGE_BYTES = 1024 * 1024
"""A minute of Opus and more. One process is kept for what is smaller: a few large recordings, made
to be slow, would else keep everybody waiting."""

LARGEST_WAITING = 4
"""Recordings of the largest size whose bytes may wait: their memory is the gateway's."""


@dataclass(slots=True, eq=False)
class _Waiter:
    session_id: str
    size_bytes: int
    granted: asyncio.Future[DecoderProcess]


class DecoderPool:
    """Decodes as many recordings at once as there are processes, and one a session.

    Small recordings come first. Processes start when they are needed. Whoever is cancelled takes
    the process along that decodes for it, and nothing of anybody else.
    """

    def __init__(
        self,
        limits: DecoderLimits,
        *,
        processes: int = 2,
        queue: int = 32,
        surplus_idle_s: float = SURPLUS_IDLE_S,
        idle_s: float = IDLE_S,
        command: Sequence[str] = (),
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        """Recordings by what became of them."""
        self._free = [DecoderProcess(limits, command) for _ in range(processes)]
        """Taken and given back at the end, so that the last one used is the next, and warm."""
        self._all = tuple(self._free)
        self._queue = queue
        self._max_waiting_bytes = LARGEST_WAITING * limits.max_input_bytes
        self._surplus_idle_s = surplus_idle_s
        self._idle_s = idle_s
        self._waiting: list[_Waiter] = []
        self._decoding: set[str] = set()
        """Sessions that have a process now."""
        self._idle_since: dict[DecoderProcess, float] = {}
        self._idle_timer: asyncio.TimerHandle | None = None

    async def decode(self, data: bytes, session_id: str) -> bytes:
        """Return the PCM16, 16 kHz, mono, in a recording of any container.

        Raises `DecoderBusyError` when the queue is full, and what `DecoderProcess.decode` does.
        """
        outcome = "cancelled"
        try:
            async with self._process(session_id, len(data)) as process:
                pcm = await process.decode(data)
            outcome = "decoded"
        except DecoderTimeoutError:
            outcome = "timeout"
            raise
        except DecoderDiedError:
            outcome = "died"
            raise
        except NabraError as error:
            outcome = error.code
            raise
        finally:
            self.outcomes[outcome] += 1
        return pcm

    def counts(self) -> Mapping[str, int]:
        """Count the processes by state, and the recordings that wait."""
        idle = sum(process.is_running for process in self._free)
        return {
            "idle": idle,
            "decoding": len(self._all) - len(self._free),
            "waiting": len(self._waiting),
        }

    async def aclose(self) -> None:
        """End all processes."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for process in self._all:
            process.kill()
        for process in self._all:
            await process.wait_ended()

    @asynccontextmanager
    async def _process(self, session_id: str, size_bytes: int) -> AsyncIterator[DecoderProcess]:
        process = await self._acquire(session_id, size_bytes)
        try:
            yield process
        finally:
            self._release(process, session_id)

    async def _acquire(self, session_id: str, size_bytes: int) -> DecoderProcess:
        waiter = _Waiter(session_id, size_bytes, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._grant()
        if not waiter.granted.done() and self._is_overfull():
            self._waiting.remove(waiter)
            raise DecoderBusyError(f"{len(self._waiting)} recordings wait already")
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.cancelled():
                self._waiting.remove(waiter)
            else:  # granted, and cancelled before it could take it
                self._release(waiter.granted.result(), session_id)
            raise

    def _is_overfull(self) -> bool:
        waiting_bytes = sum(waiter.size_bytes for waiter in self._waiting)
        return len(self._waiting) > self._queue or waiting_bytes > self._max_waiting_bytes

    def _grant(self) -> None:
        """Give each free process to the smallest recording that may have it."""
        for waiter in sorted(self._waiting, key=lambda waiter: waiter.size_bytes):
            if self._may_have_process(waiter):
                self._waiting.remove(waiter)
                self._decoding.add(waiter.session_id)
                process = self._free.pop()
                self._idle_since.pop(process, None)
                waiter.granted.set_result(process)

    def _may_have_process(self, waiter: _Waiter) -> bool:
        is_large = waiter.size_bytes > LARGE_BYTES and len(self._all) > 1
        return (
            len(self._free) > (1 if is_large else 0)
            and waiter.session_id not in self._decoding
            and not waiter.granted.cancelled()
        )

    def _release(self, process: DecoderProcess, session_id: str) -> None:
        self._decoding.discard(session_id)
        if process.is_running:
            self._free.append(process)
            self._idle_since[process] = asyncio.get_running_loop().time()
        else:
            self._free.insert(0, process)  # those that run are used first
        self._grant()
        self._watch_idle()

    def _watch_idle(self) -> None:
        if self._idle_timer is None and self._idle_since:
            loop = asyncio.get_running_loop()
            self._idle_timer = loop.call_later(self._surplus_idle_s, self._end_idle)

    def _end_idle(self) -> None:
        """End the processes that have been idle for long, and look again later."""
        now = asyncio.get_running_loop().time()
        for process, since in sorted(self._idle_since.items(), key=lambda item: item[1]):
            limit_s = self._surplus_idle_s if len(self._idle_since) > 1 else self._idle_s
            if now - since >= limit_s:
                process.kill()
                del self._idle_since[process]
        self._idle_timer = None
        self._watch_idle()
