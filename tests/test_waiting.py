"""The helper that waits for states."""

import asyncio

import pytest

from tests.waiting import until


async def test_it_returns_when_the_condition_holds() -> None:
    reached = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, reached.set)
    await until(reached.is_set)
    assert reached.is_set()


async def test_a_condition_that_holds_already_needs_no_step_of_the_loop() -> None:
    steps: list[None] = []
    asyncio.get_running_loop().call_soon(steps.append, None)
    await until(lambda: True)
    assert steps == []


async def test_a_state_that_never_comes_fails_the_test_with_the_last_state() -> None:
    state = ["at first"]
    asyncio.get_running_loop().call_later(0.01, state.append, "at last")
    with pytest.raises(AssertionError, match="at last"):
        await until(lambda: False, state=state, timeout_s=0.05)
