"""Cancels a coroutine at its n-th suspension, or that of any task that comes of it.

All of them are stepped through one counter, so that every single suspension can be tried, whichever
task it is in.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["waiting", "served", "twice"]
"""Cancelled while it waits; just as what it waits for is there; or again while it cleans up."""

MAX_SUSPENSIONS = 1000  # a guard against work that never ends

active_cancellation: contextvars.ContextVar["Cancellation | None"] = contextvars.ContextVar(
    "active_cancellation", default=None
)


@dataclass
class Cancellation:
    """Cancels `work` at suspension number `at` of any task that comes of it."""

    at: int
    mode: Mode
    work: asyncio.Task[Any] | None = None
    suspensions: int = 0
    was_cancelled: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def on_suspension(self, awaited: Any) -> None:
        self.suspensions += 1
        last = self.at + 1 if self.mode == "twice" else self.at
        if not self.at <= self.suspensions <= last:
            return
        if self.mode == "served" and asyncio.isfuture(awaited):
            awaited.add_done_callback(lambda _: self.cancel())
        else:
            self.cancel()

    def cancel(self) -> None:
        assert self.work is not None
        self.was_cancelled = self.work.cancel() or self.was_cancelled


@dataclass
class CountedSuspensions:
    """Awaits a coroutine, and reports each of its suspensions."""

    coroutine: Coroutine[Any, Any, Any]
    cancellation: Cancellation

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self.coroutine.send
        value: Any = None
        while True:
            try:
                awaited = step(value)
            except StopIteration as end:
                return end.value
            self.cancellation.on_suspension(awaited)
            try:
                step, value = self.coroutine.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001 - it is passed on
                step, value = self.coroutine.throw, error


async def _result_of(work: Awaitable[Any]) -> Any:
    return await work


def counting_task_factory(
    loop: asyncio.AbstractEventLoop, work: Any, **options: Any
) -> asyncio.Task[Any]:
    """Create a task that counts its suspensions if it comes of work that is to be cancelled."""
    cancellation = active_cancellation.get()
    if cancellation is None:
        return asyncio.Task(work, loop=loop, **options)
    task = asyncio.Task(_result_of(CountedSuspensions(work, cancellation)), loop=loop, **options)
    task.add_done_callback(lambda _: work.close())  # it never ran, if cancelled before its start
    cancellation.tasks.append(task)
    return task


def start(work: Coroutine[Any, Any, Any], cancellation: Cancellation) -> asyncio.Task[Any]:
    """Run `work` as a task that `cancellation` cancels; needs `counting_task_factory`."""
    context = contextvars.copy_context()
    context.run(active_cancellation.set, cancellation)
    cancellation.work = asyncio.get_running_loop().create_task(
        _result_of(CountedSuspensions(work, cancellation)), context=context
    )
    return cancellation.work
