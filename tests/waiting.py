"""Waiting for a state that has no event, without hanging when it never comes."""

import asyncio
import time
from collections.abc import Callable

POLL_INTERVAL_S = 0.001
QUICK_POLLS = 1000
"""So often the condition is looked at without a pause: most states are a few steps away."""


async def until(
    condition: Callable[[], bool], *, state: object = None, timeout_s: float = 2.0
) -> None:
    """Wait until `condition()` holds.

    Raises `AssertionError` with the `repr` of `state`, as it is then, after `timeout_s` seconds.
    They are those of the wall clock: on a loop with a virtual clock, too, a test must fail rather
    than hang.
    """
    deadline = time.monotonic() + timeout_s
    polls = 0
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout_s} s: {state!r}")
        polls += 1
        await asyncio.sleep(0 if polls < QUICK_POLLS else POLL_INTERVAL_S)


async def settle() -> None:
    """Let every task that can run do so, and what was sent over loopback arrive."""
    for _ in range(50):
        await asyncio.sleep(0)
