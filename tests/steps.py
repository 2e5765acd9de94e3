"""How long the event loop was held by one step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Steps:
    """What was measured."""

    count: int = 0
    """How often the loop had time for others."""
    longest_s: float = 0.0
    """Longest time between two steps of a task that only ever yields."""


@asynccontextmanager
async def longest_step() -> AsyncIterator[Steps]:
    """Measure the longest step of the loop while the context lasts."""
    steps, loop = Steps(), asyncio.get_running_loop()

    async def watch() -> None:
        before = loop.time()
        while True:
            await asyncio.sleep(0)
            now = loop.time()
            steps.count += 1
            steps.longest_s, before = max(steps.longest_s, now - before), now

    watching = asyncio.create_task(watch())
    try:
        yield steps
    finally:
        watching.cancel()
        await asyncio.wait([watching])
