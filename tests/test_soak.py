"""Clients that speak, interrupt and disconnect at random leave no task, file or socket."""

import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass
from functools import reduce
from operator import or_
from random import Random

import pytest

from app.simulator import Simulator, SimulatorConfig
from bench.churn import ChurnCaller, ChurnStats, one_second_of
from tests.gateway import DATA, calling, running_gateway, settings_for
from tests.leaks import open_files
from tests.metrics import scrape

CALLERS = 20
CALLS = 2
KEEP_ALIVE_S = 0.1
LOOKS = 3
"""So often it is looked before the calls: what comes and goes is no leak when it is there after."""
RELEASE_TIMEOUT_S = 40.0
ONE_CONNECTION = 2  # its two ends are in this process; the one to the agent may have expired


def running_tasks() -> Counter[str]:
    """Count the tasks by what they run, without those of the simulator's HTTP server."""
    codes = [task.get_coro().cr_code for task in asyncio.all_tasks()]  # type: ignore[union-attr]  # all tasks run coroutines
    ours = [code for code in codes if not re.search(r"hypercorn|simulator", code.co_filename)]
    return Counter(code.co_qualname for code in ours)


async def run_turn(url: str) -> None:
    """Run a turn: its request closes expired connections to the agent."""
    async with calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("done")


@dataclass(frozen=True)
class Leftovers:
    """What is there while nobody calls."""

    sessions: float
    sockets: dict[str, float]
    """Sockets of the provider, by state."""
    requests: int
    """Requests that the provider still serves."""
    files: int
    tasks: Counter[str]

    def beyond(self, files: int, tasks: Counter[str]) -> dict[str, object]:
        """Return what there should not be. Fewer files and tasks than before are no leak."""
        busy = {state: count for state, count in self.sockets.items() if count and state != "idle"}
        found = {
            "sessions": self.sessions,
            "sockets": busy,
            "idle sockets": max(0, self.sockets["idle"] - 1),  # others are closed soon
            "requests": self.requests,
            "files": max(0, self.files - files - ONE_CONNECTION),
            "tasks": self.tasks - tasks,
        }
        return {name: value for name, value in found.items() if value}


async def leftovers(url: str, simulator: Simulator) -> Leftovers:
    """Run a turn, let what expires expire, and look at what there is."""
    await run_turn(url)
    await asyncio.sleep(KEEP_ALIVE_S)
    scraped = await scrape(url)
    return Leftovers(
        scraped.value("nabra_sessions"),
        scraped.sockets(),
        sum(not record.ended_at for record in simulator.requests),
        open_files(),
        running_tasks(),
    )


async def until_nothing_is_left(
    url: str, simulator: Simulator, files: int, tasks: Counter[str]
) -> None:
    """Look until there is nothing beyond these. Raise `AssertionError` with what there is."""
    deadline = time.monotonic() + RELEASE_TIMEOUT_S
    while found := (await leftovers(url, simulator)).beyond(files, tasks):
        assert time.monotonic() < deadline, found


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
            looks = [await leftovers(url, simulator) for _ in range(LOOKS)]
            files = max(look.files for look in looks)
            tasks = reduce(or_, (look.tasks for look in looks))
            callers = [
                ChurnCaller(url, pcm, Random(f"{transport}{number}"), stats)
                for number in range(CALLERS)
            ]
            for _ in range(CALLS):
                await asyncio.gather(*(caller.call() for caller in callers))
            await until_nothing_is_left(url, simulator, files, tasks)
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
