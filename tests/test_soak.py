"""Clients that speak, interrupt and disconnect at random leave no task, file or socket."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from app.simulator import Simulator, SimulatorConfig
from bench.churn import ChurnCaller, ChurnStats, one_second_of
from tests.gateway import DATA, calling, running_gateway, settings_for
from tests.metrics import scrape

CALLERS = 30
CALLS = 2
KEEP_ALIVE_S = 0.1
ONE_CONNECTION = 2  # its two ends are in this process; the one to the agent may have expired

Gauges = dict[str, float]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def tasks() -> Counter[str]:
    """Count the tasks by what they run, without those of the simulator's HTTP server."""
    codes = [task.get_coro().cr_code for task in asyncio.all_tasks()]  # type: ignore[union-attr]  # all tasks run coroutines
    ours = [code for code in codes if not re.search(r"hypercorn|simulator", code.co_filename)]
    return Counter(code.co_qualname for code in ours)


async def gauges_of(url: str) -> Gauges:
    """Return the connected clients, and the provider sockets by state."""
    scraped = await scrape(url)
    return {"sessions": scraped.value("nabra_sessions"), **scraped.sockets()}


async def run_turn(url: str) -> None:
    """Run a turn: its request closes expired connections to the agent."""
    async with calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("done")


async def at_rest(url: str, simulator: Simulator) -> Gauges:
    """Return the gauges once they are at rest; the test's own timeout bounds the wait."""
    while True:
        gauges = await gauges_of(url)
        busy = sum(gauges[state] for state in gauges if state not in ("sessions", "idle"))
        is_quiet = not busy and gauges["idle"] <= 1  # other idle sockets are closed soon
        if is_quiet and all(record.ended_at for record in simulator.requests):
            return gauges
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("transport", ["websocket", "rest", "auto"])
async def test_random_clients_leave_nothing_behind(transport: str) -> None:
    config = SimulatorConfig(
        profile="instant",
        voice="hum",
        keep_alive_timeout_s=KEEP_ALIVE_S,
        timing={"realtime_factor": 400, "agent_token_ms": 1, "first_audio_ms": 5},
    )
    stats = ChurnStats()
    pcm = one_second_of(DATA / "arabic.wav")
    async with Simulator(config) as simulator:
        settings = settings_for(
            simulator,
            tts_transport=transport,
            stt_transport="websocket" if transport == "auto" else transport,
            hamsa_connect_limit=100,
            hamsa_idle_timeout_s=0.05,
            hamsa_drain_timeout_s=1,
        )
        async with running_gateway(settings) as url:
            await run_turn(url)
            before = await at_rest(url, simulator)
            while "Connection.close" in tasks():
                await asyncio.sleep(0)
            files, running = open_files(), tasks()
            callers = [
                ChurnCaller(url, pcm, Random(f"{transport}{number}"), stats)
                for number in range(CALLERS)
            ]
            for _ in range(CALLS):
                await asyncio.gather(*(caller.call() for caller in callers))
            while (
                await at_rest(url, simulator) != before
                or open_files() > files + ONE_CONNECTION
                or tasks() != running
            ):
                await asyncio.sleep(KEEP_ALIVE_S)
                await run_turn(url)
    assert not stats.errors
    assert stats.actions["sessions"] == CALLERS * CALLS
    for action in (
        "recording",
        "stream",
        "half stream",
        "interrupt",
        "talk over",
        "abort",
        "close",
        "hands-free",
    ):
        assert stats.actions[action], action
