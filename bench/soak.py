"""100 callers that connect, interrupt and disconnect at random for a minute: nothing leaks."""

import asyncio
from collections.abc import Sequence
from random import Random

from app.simulator import Simulator, SimulatorConfig
from bench.churn import ChurnCaller, ChurnStats, one_second_of
from bench.harness import caller, gateway, scrape, settings_for, take_turn
from bench.results import Cell, Result, Table
from bench.spoken_line import RECORDING

SESSIONS = 100
SECONDS = 60.0
SEED = 4
PAUSE_S = 2.0
"""Longest pause of a caller within a call."""

IDLE_TIMEOUT_S = 60.0
"""Longest wait until nothing drains or lingers and idle connections have expired."""

EXPIRY_S = 5.0
"""Age at which an idle connection to the agent expires; the next request closes it."""


async def run() -> Result:
    """Let 100 callers connect, interrupt and disconnect at random for 60 s."""
    rows = [await _soak(transport) for transport in ("websocket", "rest")]
    table = Table(
        f"{SESSIONS} callers for {SECONDS:.0f} s",
        (
            "transport",
            "calls",
            "turns",
            "interruptions",
            "aborted",
            "errors",
            "sessions",
            "tasks",
            "files",
            "sockets",
            "requests",
        ),
        rows,
        "Aborted: the caller's connection broke without a close. The last five columns show the "
        "gateway before -> after, when it is idle: sessions, tasks, open file descriptors, sockets "
        "to the provider, and requests that the provider still serves.",
    )
    return Result("soak", [table])


async def _soak(transport: str) -> Sequence[Cell]:
    """Compare the idle gateway before and after, so that whatever a call leaves shows."""
    config = SimulatorConfig(profile="fast", voice="hum", seed=SEED)
    settings = {
        "TTS_TRANSPORT": transport,
        "STT_TRANSPORT": transport,
        "HAMSA_CONNECT_LIMIT": "100",
        "HAMSA_MAX_CONNECTIONS": "32",
        "HAMSA_IDLE_TIMEOUT_S": "1",
    }
    stats = ChurnStats()
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, **settings)) as url,
    ):
        before = await _when_idle(url, simulator)
        until = asyncio.get_running_loop().time() + SECONDS
        pcm = one_second_of(RECORDING)

        async def keep_calling(number: int) -> None:
            random = Random(f"{SEED}-{number}")  # noqa: S311 - no secret
            caller = ChurnCaller(url, pcm, random, stats, pause_s=PAUSE_S)
            while asyncio.get_running_loop().time() < until:
                await caller.call()

        await asyncio.gather(*(keep_calling(number) for number in range(SESSIONS)))
        after = await _when_idle(url, simulator, expected=before)
    actions = stats.actions
    return (
        transport,
        actions["sessions"],
        sum(actions[how] for how in ("recording", "text", "stream", "half stream")),
        actions["interrupt"] + actions["talk over"],
        actions["abort"],
        ", ".join(f"{code} {count}" for code, count in stats.errors.most_common(3)) or "none",
        *(f"{was:.0f} -> {now:.0f}" for was, now in zip(before, after, strict=True)),
    )


async def _when_idle(
    url: str, simulator: Simulator, expected: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    """Return the gateway's resources once it is idle, after one undisturbed turn or several."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + IDLE_TIMEOUT_S
    while True:
        async with caller(url) as socket:
            await take_turn(socket, {"type": "text", "text": "مرحبا"})
        next_turn = loop.time() + EXPIRY_S
        while loop.time() < next_turn:
            busy, resources = await _resources(url, simulator)
            if not busy and (resources == expected if expected else resources[3] <= 1):
                return resources
            if loop.time() > deadline:
                return resources
            await asyncio.sleep(0.25)


async def _resources(url: str, simulator: Simulator) -> tuple[float, tuple[float, ...]]:
    """Count busy sockets, and the resources that the table shows."""
    numbers = await scrape(url)
    sockets = {k: v for k, v in numbers.items() if k.startswith("nabra_provider_sockets")}
    busy = sum(count for name, count in sockets.items() if "idle" not in name)
    return busy, (
        numbers['nabra_sessions{protocol="native"}'],
        numbers["nabra_tasks"],
        numbers["process_open_fds"],
        sum(sockets.values()) - busy,
        float(sum(record.ended_at is None for record in simulator.requests)),
    )
