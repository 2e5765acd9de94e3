"""The reusable timeout, in virtual time."""

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


def test_an_error_is_passed_on() -> None:
    async def fails() -> None:
        raise KeyError("x")

    async def work() -> None:
        timeout = ReusableTimeout()
        with pytest.raises(KeyError):
            await timeout.wait_for(fails(), 1.0)
        timeout.close()

    in_virtual_time(work())
