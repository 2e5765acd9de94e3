"""Timeouts that do not count time in which the event loop itself stood still.

A timer that fires late says that the loop was busy: what the other side sent meanwhile has not been
read yet. So a late timer moves its deadline by its lateness, once a wait: a loop that is always
late must not wait for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType, coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")

MAX_LATENESS_S = 0.05
"""Lateness of a timer beyond which the loop has stood still: no work of ours may take as long."""


class StallTolerantTimeout:
    """Ends its body with `TimeoutError` after `timeout_s` seconds; None: never.

    Like `asyncio.timeout`, but a stall of the loop does not count.
    """

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._is_extended = False
        self.began_at = 0.0
        """When the time began to run, or began anew, on the loop's clock."""

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel_timer()
        await self._scope.__aexit__(kind, error, traceback)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time pass within this context, and begin anew after it."""
        self._cancel_timer()
        try:
            yield
        finally:
            self._begin()

    def _begin(self) -> None:
        self.began_at = asyncio.get_running_loop().time()
        if self._timeout_s is not None:
            self._set_timer(self.began_at + self._timeout_s)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, due: float) -> None:
        self._due = due
        self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        now = asyncio.get_running_loop().time()
        lateness_s = now - self._due
        if lateness_s > MAX_LATENESS_S and not self._is_extended:
            self._is_extended = True
            self._set_timer(now + lateness_s)
        else:
            self._scope.reschedule(now)


def stall_tolerant_timeout(timeout_s: float | None) -> StallTolerantTimeout:
    """Return a context that raises `TimeoutError` after `timeout_s` seconds without stalls."""
    return StallTolerantTimeout(timeout_s)


class ReusableTimeout:
    """Bounds waits that follow each other, with one timer for all of them.

    `asyncio.timeout` creates a timer for each wait, which costs more than reading a chunk does.
    Here a wait only moves the deadline; the timer reads the deadline when it fires, and is set
    again if that has not passed. What ends without waiting is not timed at all. `close` cancels
    the timer.
    """

    def __init__(self) -> None:
        self.waited_s = 0.0
        """How long the last wait lasted, but for the time in which the loop stood still."""
        self._stalled_s = 0.0
        """How long it stood still in this wait, as far as the timer shows."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """That of the first wait; asking for it at each wait costs a system call in Python 3.11."""
        self._task: asyncio.Task[object] | None = None
        """The task that waits."""
        self._began_at = self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._expired = False

    @coroutine
    def wait_for(
        self, work: Awaitable[T], timeout_s: float, *, on_wait: Callable[[], None] | None = None
    ) -> Generator[Any, Any, T]:
        """Await `work`. Cancel it and raise `TimeoutError` after `timeout_s` seconds.

        One wait at a time. A cancellation from outside is passed on, even if it arrives together
        with the timeout. `on_wait` is called if `work` does not end at once.

        A coroutine by hand: its first step shows whether there is anything to wait for. Most
        messages are sent, and most chunks read, without a wait.
        """
        self.waited_s = 0.0
        steps = work.__await__()
        try:
            awaited = next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if on_wait is not None:
            on_wait()
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        cancellations = task.cancelling()
        self._start(loop, task, timeout_s)
        try:
            while True:
                try:
                    yield awaited
                except BaseException as error:  # noqa: BLE001 - thrown to where the wait is
                    awaited = steps.throw(error)
                else:
                    return (yield from steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            if self._expired and task.cancelling() == cancellations + 1:
                raise TimeoutError from None
            raise
        finally:
            self._task = None
            now = loop.time()
            if now - self._timer_at > MAX_LATENESS_S:
                self._note_stall(now)  # what came in a stall may be seen before the timer is
            self.waited_s = now - self._began_at - self._stalled_s
            if self._expired:
                task.uncancel()

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(
        self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[object], timeout_s: float
    ) -> None:
        assert self._task is None, "one wait at a time"
        self._task, self._expired, self._stalled_s = task, False, 0.0
        self._began_at = loop.time()
        self._deadline = self._began_at + timeout_s
        if self._timer is None or self._timer_at > self._deadline:
            self.close()
            self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer_at = self._deadline
        self._timer = loop.call_at(self._timer_at, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._task is None:
            return  # nothing is awaited; the next wait sets the timer
        now = loop.time()
        self._note_stall(now)
        if now < self._deadline:
            self._set_timer(loop)
            return
        self._expired = True
        self._task.cancel()

    def _note_stall(self, now: float) -> None:
        """Move the deadline by the lateness of the timer, once a wait."""
        due = max(self._timer_at, self._began_at)
        if not self._stalled_s and now - due > MAX_LATENESS_S:
            self._stalled_s = now - due
            self._deadline = max(self._deadline, now) + self._stalled_s
