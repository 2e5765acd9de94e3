"""Connections to the agent: none is lost, whenever a turn is cancelled."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.agent.client import to_the_end
from tests.agent.conftest import END, HEAD, Exchange, MakeAgent, chunk, serve
from tests.agent.lines import line, run
from tests.agent.test_webhook import ask
from tests.test_cancellation import MOST_SUSPENSIONS, Cancellation, Counted, Mode, awaited

WHOLE = [HEAD, chunk(line("begin")), chunk(line("item", "نعم")), chunk(line("end")), END]
ENDLESS = [HEAD, chunk(run("نعم") + line("error", "boom", "Log"))]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let no garbage collection close what was lost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("mode", ["waiting", "served", "twice"])
@pytest.mark.parametrize("answer", [WHOLE, ENDLESS], ids=["whole", "endless"])
async def test_cancelled_at_any_suspension_a_request_gives_its_connection_back(
    make_agent: MakeAgent,
    client: httpx.AsyncClient,
    uncollected: None,
    answer: list[bytes],
    mode: Mode,
) -> None:
    async def script(exchange: Exchange) -> None:
        for part in answer:
            await exchange.send(part)
            await asyncio.sleep(0)
        if END not in answer:
            await exchange.gone()

    pool = client._transport._pool  # type: ignore[attr-defined]
    pool._keepalive_expiry = 0  # each request closes the connections of those before it
    async with serve(script) as webhook:
        agent = make_agent(webhook.url, error_linger_s=0.001)
        await asyncio.gather(ask(agent), ask(agent))
        files = open_files()
        for at in range(1, MOST_SUSPENSIONS):
            await asyncio.gather(ask(agent), ask(agent))
            cancellation = Cancellation(at, mode)
            cancellation.work = asyncio.create_task(awaited(Counted(ask(agent), cancellation)))
            await asyncio.wait([cancellation.work])
            assert not pool._requests
            if cancellation.suspensions < at:
                break
        assert at > 5
        while open_files() > files:
            await asyncio.gather(ask(agent), ask(agent))


async def test_what_must_end_ends_before_a_cancellation_goes_on() -> None:
    began, goes_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        await goes_on.wait()
        ended.set()

    task = asyncio.create_task(to_the_end(work()))
    await began.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
