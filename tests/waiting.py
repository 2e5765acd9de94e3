"""Waits for a condition, bounded, so that a test fails with a state instead of hanging."""

import asyncio
from collections.abc import Callable

_STEPS = 1000
"""Steps of the loop after which the wait leaves the CPU to others."""
_PAUSE_S = 0.001


async def until(
    condition: Callable[[], bool], *, state: object = None, timeout_s: float = 2.0
) -> None:
    """Wait until `condition` holds. Raise `AssertionError` with `state` after `timeout_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    steps = 0
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {state!r}")
        await asyncio.sleep(0 if steps < _STEPS else _PAUSE_S)
        steps += 1
