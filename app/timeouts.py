"""A bound on waits that follow each other."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class ReusableTimeout:
    """Bounds one wait after the other, by one timer for all of them.

    `asyncio.timeout` makes a timer for each, which costs more than the chunk that is waited for.
    Here a wait only moves the deadline, and the timer looks for it when it is due. Close it.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._bit = False

    async def bound(self, work: Awaitable[T], timeout_s: float) -> T:
        """Await `work`; cancel it and raise `TimeoutError` if it takes longer."""
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        self._watch(task, timeout_s)
        try:
            return await work
        except asyncio.CancelledError:
            if self._bit and task.cancelling() == cancellations + 1:
                raise TimeoutError from None
            raise  # somebody else wants the task to end, too
        finally:
            self._task = None
            if self._bit:
                task.uncancel()

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, task: asyncio.Task[object], timeout_s: float) -> None:
        assert self._task is None, "one wait at a time"
        self._task, self._bit = task, False
        self._deadline = asyncio.get_running_loop().time() + timeout_s
        if self._timer is None or self._due > self._deadline:
            self.close()
            self._set()

    def _set(self) -> None:
        self._due = self._deadline
        self._timer = asyncio.get_running_loop().call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return  # the next wait sets it again
        if asyncio.get_running_loop().time() < self._deadline:
            self._set()
            return
        self._bit = True
        self._task.cancel()
