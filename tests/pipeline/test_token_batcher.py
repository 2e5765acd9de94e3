"""The first token is emitted at once, those that follow within the interval are joined."""

import asyncio

from app.pipeline.token_batcher import TokenBatcher
from tests.waiting import until


async def test_tokens_that_come_together_are_emitted_together_and_none_is_lost() -> None:
    emitted: list[str] = []

    async def emit(text: str) -> None:
        emitted.append(text)

    batcher = TokenBatcher(emit)
    task = asyncio.create_task(batcher.run())
    batcher.put("أه")
    await until(lambda: bool(emitted))
    assert emitted == ["أه"]
    for token in ("لاً ", "وسه", "لاً"):
        batcher.put(token)
    batcher.end()
    await task
    assert emitted == ["أه", "لاً وسهلاً"]


async def test_an_end_without_tokens_emits_nothing() -> None:
    async def emit(text: str) -> None:
        raise AssertionError(text)

    batcher = TokenBatcher(emit)
    batcher.end()
    await batcher.run()
