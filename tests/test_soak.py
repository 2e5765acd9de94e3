"""Callers who talk, interrupt and leave as they like leave nothing behind: not one task or file."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from random import Random

import httpx
import pytest

from app.simulator import Simulator, SimulatorConfig
from bench.churn import ChurnCaller, ChurnStats, one_second_of
from tests.gateway import DATA, calling, running_gateway, settings_for

CALLERS = 30
CALLS = 2
KEEP_ALIVE_S = 0.1
ONE_CONNECTION = 2  # both its ends are here; that to the agent may be open or have expired

GAUGES = ("nabra_sessions", "nabra_provider_sockets")

Numbers = dict[str, float]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def tasks() -> Counter[str]:
    """Count the tasks by what they run; the simulator's own HTTP server is no concern of ours."""
    codes = [task.get_coro().cr_code for task in asyncio.all_tasks()]  # type: ignore[union-attr]
    ours = [code for code in codes if not re.search(r"hypercorn|simulator", code.co_filename)]
    return Counter(code.co_qualname for code in ours)


async def numbers_of(url: str) -> Numbers:
    address = f"{url.replace('ws://', 'http://').removesuffix('/ws/agent/')}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(address)).text
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows if name.startswith(GAUGES)}


async def take_a_turn(url: str) -> None:
    """Expired connections to the agent are closed by the next request."""
    async with calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("done")


async def at_rest(url: str, simulator: Simulator) -> Numbers:
    """Return the gateway's numbers when nothing moves; the test's own timeout is the guard."""
    while True:
        numbers = await numbers_of(url)
        moving = [
            count
            for name, count in numbers.items()
            if name.startswith("nabra_provider_sockets") and "idle" not in name
        ]
        idle = sum(count for name, count in numbers.items() if 'state="idle"' in name)
        is_quiet = not sum(moving) and idle <= 1  # surplus idle sockets are closed soon
        if is_quiet and all(record.ended_at for record in simulator.requests):
            return numbers
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("transport", ["websocket", "rest", "auto"])
async def test_restless_callers_leave_nothing_behind(transport: str) -> None:
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
            await take_a_turn(url)
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
                await take_a_turn(url)
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
