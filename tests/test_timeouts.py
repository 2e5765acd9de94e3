"""The timeouts: in virtual time, and with stalls of a real loop."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from app.timeouts import ReusableTimeout, stall_tolerant_timeout
from tests import virtual_time


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(work)


def now_s() -> float:
    return asyncio.get_running_loop().time()


def timers() -> list[asyncio.TimerHandle]:
    loop: Any = asyncio.get_running_loop()
    return [timer for timer in loop._scheduled if not timer.cancelled()]


@asynccontextmanager
async def loopback() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a socket to read from, and the other end of it."""
    ours, theirs = socket.socketpair()
    reader, own_writer = await asyncio.open_connection(sock=ours)
    _, writer = await asyncio.open_connection(sock=theirs)
    try:
        yield reader, writer
    finally:
        for each in (writer, own_writer):
            each.close()
            await each.wait_closed()


def test_a_result_in_time_is_returned_and_one_timer_serves_all_waits() -> None:
    async def work() -> None:
        timeout = ReusableTimeout()
        for n in range(10):
            assert await timeout.wait_for(asyncio.sleep(0.9, n), 1.0) == n
            assert len(timers()) <= 1
        timeout.close()
        assert not timers()

    in_virtual_time(work())


def test_a_wait_is_cancelled_at_its_deadline_and_the_next_has_its_own() -> None:
    async def work() -> None:
        timeout = ReusableTimeout()
        await timeout.wait_for(asyncio.sleep(0.4), 1.0)
        for _ in range(2):
            began_s = now_s()
            with pytest.raises(TimeoutError):
                await timeout.wait_for(asyncio.sleep(5), 1.0)
            assert now_s() - began_s == pytest.approx(1.0)
        assert await timeout.wait_for(asyncio.sleep(0.9, "done"), 1.0) == "done"
        timeout.close()

    in_virtual_time(work())


def test_a_timeout_shorter_than_the_one_before_holds() -> None:
    async def work() -> None:
        timeout = ReusableTimeout()
        await timeout.wait_for(asyncio.sleep(0), 10.0)
        with pytest.raises(TimeoutError):
            await timeout.wait_for(asyncio.sleep(5), 1.0)
        assert now_s() == pytest.approx(1.0)
        timeout.close()

    in_virtual_time(work())


def test_time_between_two_waits_does_not_count() -> None:
    async def work() -> None:
        timeout = ReusableTimeout()
        await timeout.wait_for(asyncio.sleep(0.5), 1.0)
        await asyncio.sleep(7)
        await timeout.wait_for(asyncio.sleep(0.9), 1.0)
        timeout.close()

    in_virtual_time(work())


@pytest.mark.parametrize("late", [False, True], ids=["before the timeout", "with the timeout"])
def test_a_cancellation_from_outside_is_passed_on(late: bool) -> None:
    async def work() -> None:
        timeout = ReusableTimeout()

        async def waits() -> None:
            try:
                await timeout.wait_for(asyncio.sleep(5), 1.0)
            finally:
                timeout.close()

        task = asyncio.create_task(waits())
        await asyncio.sleep(1.0 if late else 0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_virtual_time(work())


def test_no_cancellation_is_left_pending() -> None:
    async def ignores_cancellation() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return "done all the same"

    async def work() -> None:
        timeout = ReusableTimeout()
        with pytest.raises(TimeoutError):
            await timeout.wait_for(asyncio.sleep(5), 1.0)
        assert await timeout.wait_for(ignores_cancellation(), 1.0) == "done all the same"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        timeout.close()

    in_virtual_time(work())


def test_what_ends_at_once_is_not_timed() -> None:
    async def at_once() -> str:
        return "done"

    async def work() -> None:
        timeout, waits = ReusableTimeout(), list[str]()
        assert await timeout.wait_for(at_once(), 0.0, on_wait=lambda: waits.append("no")) == "done"
        assert (waits, timers(), timeout.waited_s) == ([], [], 0.0)
        await timeout.wait_for(asyncio.sleep(0.5), 1.0, on_wait=lambda: waits.append("yes"))
        assert waits == ["yes"]
        assert timeout.waited_s == pytest.approx(0.5)
        timeout.close()

    in_virtual_time(work())


def test_work_may_wait_for_its_cleanup_after_its_deadline() -> None:
    async def work() -> None:
        cleaned_up = False

        async def waits() -> None:
            nonlocal cleaned_up
            try:
                await asyncio.sleep(5)
            finally:
                await asyncio.sleep(0.5)
                cleaned_up = True

        timeout = ReusableTimeout()
        with pytest.raises(TimeoutError):
            await timeout.wait_for(waits(), 1.0)
        assert cleaned_up
        assert now_s() == pytest.approx(1.5)
        timeout.close()

    in_virtual_time(work())


def test_an_error_is_passed_on() -> None:
    async def fails() -> None:
        raise KeyError("x")

    async def work() -> None:
        timeout = ReusableTimeout()
        with pytest.raises(KeyError):
            await timeout.wait_for(fails(), 1.0)
        timeout.close()

    in_virtual_time(work())


def stalls(for_s: float) -> None:
    """Block the loop, as work that is too long does."""
    time.sleep(for_s)


async def test_a_wait_gets_what_came_while_the_loop_stood_still() -> None:
    timeout = ReusableTimeout()
    async with loopback() as (reader, writer):
        asyncio.get_running_loop().call_soon(stalls, 0.3)
        writer.write(b"x")
        assert await timeout.wait_for(reader.read(1), 0.1) == b"x"
        assert timeout.waited_s < 0.2, "the stall of 0.3 s does not count"
        with pytest.raises(TimeoutError):
            await timeout.wait_for(reader.read(1), 0.02)
    timeout.close()


async def test_a_context_gets_what_came_while_the_loop_stood_still() -> None:
    async with loopback() as (reader, writer):
        asyncio.get_running_loop().call_soon(stalls, 0.3)
        writer.write(b"x")
        async with stall_tolerant_timeout(0.1):
            assert await reader.read(1) == b"x"


async def test_a_loop_that_stands_still_again_and_again_does_not_wait_for_ever() -> None:
    async def keeps_stalling() -> None:
        while True:
            stalls(0.08)
            await asyncio.sleep(0)

    stalling = asyncio.create_task(keeps_stalling())
    with pytest.raises(TimeoutError):
        async with stall_tolerant_timeout(0.01):
            await asyncio.Event().wait()
    timeout = ReusableTimeout()
    with pytest.raises(TimeoutError):
        await timeout.wait_for(asyncio.Event().wait(), 0.01)
    stalling.cancel()


def test_a_context_ends_at_its_deadline_without_a_stall_and_never_without_one() -> None:
    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with stall_tolerant_timeout(1.0):
                await asyncio.sleep(5)
        assert now_s() == pytest.approx(1.0)
        async with stall_tolerant_timeout(None):
            await asyncio.sleep(5)
        async with stall_tolerant_timeout(1.0):
            await asyncio.sleep(0.5)
        assert not timers()

    in_virtual_time(work())
