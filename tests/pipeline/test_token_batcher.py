"""Tokens leave at once when it is quiet, and joined when they come fast."""

import asyncio

from app.pipeline.token_batcher import TokenBatcher


async def test_pieces_that_come_together_leave_together_and_none_is_lost() -> None:
    told: list[str] = []

    async def emit(text: str) -> None:
        told.append(text)

    batcher = TokenBatcher(emit)
    task = asyncio.create_task(batcher.run())
    batcher.put("أه")
    while not told:
        await asyncio.sleep(0)
    assert told == ["أه"]
    for piece in ("لاً ", "وسه", "لاً"):
        batcher.put(piece)
    batcher.end()
    await task
    assert told == ["أه", "لاً وسهلاً"]


async def test_an_end_without_pieces_tells_nothing() -> None:
    async def emit(text: str) -> None:
        raise AssertionError(text)

    batcher = TokenBatcher(emit)
    batcher.end()
    await batcher.run()
