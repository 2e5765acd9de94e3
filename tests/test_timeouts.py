"""Waits that follow each other, each bounded, by a clock that jumps."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from app.timeouts import ReusableTimeout
from tests import virtual_time


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(work)


def now_s() -> float:
    return asyncio.get_running_loop().time()


def timers() -> list[asyncio.TimerHandle]:
    loop: Any = asyncio.get_running_loop()
    return [timer for timer in loop._scheduled if not timer.cancelled()]


def test_what_comes_in_time_is_returned_and_one_timer_serves_all() -> None:
    async def work() -> None:
        watchdog = ReusableTimeout()
        for n in range(10):
            assert await watchdog.bound(asyncio.sleep(0.9, n), 1.0) == n
            assert len(timers()) <= 1
        watchdog.close()
        assert not timers()

    in_virtual_time(work())


def test_what_comes_late_is_cancelled_at_its_deadline_and_the_next_wait_is_bounded_anew() -> None:
    async def work() -> None:
        watchdog = ReusableTimeout()
        await watchdog.bound(asyncio.sleep(0.4), 1.0)
        for _ in range(2):
            began_s = now_s()
            with pytest.raises(TimeoutError):
                await watchdog.bound(asyncio.sleep(5), 1.0)
            assert now_s() - began_s == pytest.approx(1.0)
        assert await watchdog.bound(asyncio.sleep(0.9, "there"), 1.0) == "there"
        watchdog.close()

    in_virtual_time(work())


def test_a_shorter_bound_than_before_holds() -> None:
    async def work() -> None:
        watchdog = ReusableTimeout()
        await watchdog.bound(asyncio.sleep(0), 10.0)
        with pytest.raises(TimeoutError):
            await watchdog.bound(asyncio.sleep(5), 1.0)
        assert now_s() == pytest.approx(1.0)
        watchdog.close()

    in_virtual_time(work())


def test_time_between_two_waits_does_not_count() -> None:
    async def work() -> None:
        watchdog = ReusableTimeout()
        await watchdog.bound(asyncio.sleep(0.5), 1.0)
        await asyncio.sleep(7)
        await watchdog.bound(asyncio.sleep(0.9), 1.0)
        watchdog.close()

    in_virtual_time(work())


@pytest.mark.parametrize("late", [False, True], ids=["in time", "with the timer"])
def test_who_is_cancelled_from_outside_is_cancelled(late: bool) -> None:
    async def work() -> None:
        watchdog = ReusableTimeout()

        async def waits() -> None:
            try:
                await watchdog.bound(asyncio.sleep(5), 1.0)
            finally:
                watchdog.close()

        task = asyncio.create_task(waits())
        await asyncio.sleep(1.0 if late else 0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_virtual_time(work())


def test_no_cancellation_is_left_over() -> None:
    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return "there all the same"

    async def work() -> None:
        watchdog = ReusableTimeout()
        with pytest.raises(TimeoutError):
            await watchdog.bound(asyncio.sleep(5), 1.0)
        assert await watchdog.bound(stubborn(), 1.0) == "there all the same"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        watchdog.close()

    in_virtual_time(work())


def test_what_fails_fails_as_it_does() -> None:
    async def fails() -> None:
        raise KeyError("x")

    async def work() -> None:
        watchdog = ReusableTimeout()
        with pytest.raises(KeyError):
            await watchdog.bound(fails(), 1.0)
        watchdog.close()

    in_virtual_time(work())
