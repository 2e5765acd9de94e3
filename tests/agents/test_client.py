"""Connections to the agent: none leaks, whenever a turn is cancelled."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.asking import ask
from tests.agents.conftest import (
    END,
    HEAD,
    Exchange,
    MakeAgent,
    MakeClient,
    acquired,
    chunk,
    serve,
)
from tests.agents.lines import line, run
from tests.net.clients import connector_of
from tests.suspensions import MAX_SUSPENSIONS, Cancellation, Mode, start

WHOLE = [HEAD, chunk(line("begin")), chunk(line("item", "نعم")), chunk(line("end")), END]
ENDLESS = [HEAD, chunk(run("نعم") + line("error", "boom", "Log"))]


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Let no garbage collection close what has leaked."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("mode", ["waiting", "served", "twice"])
@pytest.mark.parametrize("response", [WHOLE, ENDLESS], ids=["whole", "endless"])
@pytest.mark.parametrize("reuses", [True, False], ids=["reused", "new"])
async def test_cancelled_at_any_suspension_a_request_gives_its_connection_back(
    make_agent: MakeAgent,
    connect: MakeClient,
    no_gc: None,
    response: list[bytes],
    reuses: bool,
    mode: Mode,
) -> None:
    async def script(exchange: Exchange) -> None:
        for data in response:
            await exchange.send(data)
            await asyncio.sleep(0)
        if END not in response:
            await exchange.gone()

    async with serve(script) as webhook:
        connector = connector_of(connect(webhook.url))
        if not reuses:
            connector._keepalive_timeout = 0
        agent = make_agent(webhook.url, error_linger_s=0.001)
        await asyncio.gather(ask(agent), ask(agent))
        files = open_files()
        for at in range(1, MAX_SUSPENSIONS):
            await asyncio.gather(ask(agent), ask(agent))
            cancellation = Cancellation(at, mode)
            work = start(ask(agent), cancellation)
            await asyncio.wait([work])
            assert not acquired(connect(webhook.url))
            if cancellation.suspensions < at:
                break
        assert at > 3
        for _ in range(100):  # closing takes some steps of the loop
            if open_files() <= files:
                break
            await asyncio.gather(ask(agent), ask(agent))
        assert open_files() <= files
