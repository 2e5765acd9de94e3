"""A timeout for many waits in a row."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class ReusableTimeout:
    """Bounds waits that follow each other, with one timer for all of them.

    `asyncio.timeout` creates a timer for each wait, which costs more than reading a chunk does.
    Here a wait only moves the deadline; the timer reads the deadline when it fires, and is set
    again if that has not passed. `close` cancels the timer.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        """The task that waits."""
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._expired = False

    async def wait_for(self, work: Awaitable[T], timeout_s: float) -> T:
        """Await `work`. Cancel it and raise `TimeoutError` after `timeout_s` seconds.

        One wait at a time. A cancellation from outside is passed on, even if it arrives together
        with the timeout.
        """
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        self._start(task, timeout_s)
        try:
            return await work
        except asyncio.CancelledError:
            if self._expired and task.cancelling() == cancellations + 1:
                raise TimeoutError from None
            raise
        finally:
            self._task = None
            if self._expired:
                task.uncancel()

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, task: asyncio.Task[object], timeout_s: float) -> None:
        assert self._task is None, "one wait at a time"
        self._task, self._expired = task, False
        self._deadline = asyncio.get_running_loop().time() + timeout_s
        if self._timer is None or self._timer_at > self._deadline:
            self.close()
            self._set_timer()

    def _set_timer(self) -> None:
        self._timer_at = self._deadline
        self._timer = asyncio.get_running_loop().call_at(self._timer_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nothing is awaited; the next wait sets the timer
        if asyncio.get_running_loop().time() < self._deadline:
            self._set_timer()
            return
        self._expired = True
        self._task.cancel()
