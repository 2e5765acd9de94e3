"""Pools of decoders, and what stands in for a decoder."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from app.audio.decoder_pool import DecoderPool
from app.audio.decoder_process import DecoderLimits
from app.decoder.frames import READY
from tests.processes import children, command_line

LIMITS = DecoderLimits()


def own_processes() -> list[int]:
    """List what this test started: a browser's driver lives as long as all tests."""
    return [
        child
        for child in children(os.getpid())
        if not any("playwright" in argument for argument in command_line(child))
    ]


@asynccontextmanager
async def pool_of(
    processes: int = 1, limits: DecoderLimits = LIMITS, **options: Any
) -> AsyncIterator[DecoderPool]:
    before = own_processes()
    pool = DecoderPool(limits, processes=processes, **options)
    try:
        yield pool
    finally:
        await pool.aclose()
    assert own_processes() == before, "all processes are gone, and waited for"


def answering(script: str) -> tuple[str, ...]:
    """Give the command of a decoder that does this instead."""
    head = f"import sys, time; sys.stdout.buffer.write({READY!r}); sys.stdout.flush()\n"
    return (sys.executable, "-c", head + script)


ECHO = """
while head := sys.stdin.buffer.read(12):
    sys.stdin.buffer.read(int.from_bytes(head[8:], "little"))
    time.sleep(0.1)
    sys.stdout.buffer.write(bytes(6))
    sys.stdout.flush()
"""
"""Decodes everything to nothing, after a while."""

NEVER = answering("time.sleep(1000)")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what has no event; the test's own timeout is the guard."""
    while not condition():
        await asyncio.sleep(0.005)
