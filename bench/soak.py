"""Callers come and go as they like for a minute: nothing of them may stay behind."""

import asyncio
from collections.abc import Sequence
from random import Random

from app.simulator import Simulator, SimulatorConfig
from bench.churn import Deeds, RestlessCaller, speech
from bench.harness import RECORDING, caller, gateway, scrape, settings_for, take_turn
from bench.results import Cell, Result, Table

SESSIONS = 100
SECONDS = 60.0
SEED = 4
PAUSE_S = 2.0
"""Longest silence of a caller."""

BACK_TO_REST_S = 60.0
"""Longest wait for drains, lingers and idle connections to be over."""

EXPIRY_S = 5.0
"""After so long a connection to the agent has expired, and the next request closes it."""


async def run() -> Result:
    """100 sessions that talk, interrupt and leave at random for 60 s."""
    rows = [await _soak(transport) for transport in ("websocket", "rest")]
    table = Table(
        f"{SESSIONS} restless sessions for {SECONDS:.0f} s, before and after",
        (
            "by",
            "calls",
            "turns",
            "cut",
            "vanished",
            "errors",
            "sessions",
            "tasks",
            "files",
            "sockets",
            "requests",
        ),
        rows,
        "Files, sockets and requests: open ones of the gateway, to the provider, and at it.",
    )
    return Result("soak", [table])


async def _soak(transport: str) -> Sequence[Cell]:
    config = SimulatorConfig(profile="fast", voice="hum", seed=SEED)
    settings = {
        "TTS_TRANSPORT": transport,
        "STT_TRANSPORT": transport,
        "HAMSA_CONNECT_LIMIT": "100",
        "HAMSA_MAX_CONNECTIONS": "32",
        "HAMSA_IDLE_TIMEOUT_S": "1",
    }
    deeds = Deeds()
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, **settings)) as url,
    ):
        before = await _at_rest(url, simulator)
        until = asyncio.get_running_loop().time() + SECONDS
        pcm = speech(RECORDING)

        async def keep_calling(number: int) -> None:
            random = Random(f"{SEED}-{number}")  # noqa: S311 - no secret
            caller = RestlessCaller(url, pcm, random, deeds, pause_s=PAUSE_S)
            while asyncio.get_running_loop().time() < until:
                await caller.call()

        await asyncio.gather(*(keep_calling(number) for number in range(SESSIONS)))
        after = await _at_rest(url, simulator, like=before)
    done = deeds.done
    return (
        transport,
        done["sessions"],
        sum(done[how] for how in ("recording", "text", "stream", "half")),
        done["interrupt"] + done["talk over"],
        done["vanish"],
        ", ".join(f"{code} {count}" for code, count in deeds.errors.most_common(3)) or "none",
        *(f"{was:.0f} -> {now:.0f}" for was, now in zip(before, after, strict=True)),
    )


async def _at_rest(
    url: str, simulator: Simulator, like: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    """Return what there is once nothing moves, after a turn in peace, or several."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BACK_TO_REST_S
    while True:
        async with caller(url) as socket:
            await take_turn(socket, {"type": "text", "text": "مرحبا"})
        next_turn = loop.time() + EXPIRY_S
        while loop.time() < next_turn:
            busy, there = await _there(url, simulator)
            if not busy and (there == like if like else there[3] <= 1):
                return there
            if loop.time() > deadline:
                return there
            await asyncio.sleep(0.25)


async def _there(url: str, simulator: Simulator) -> tuple[float, tuple[float, ...]]:
    """Count what moves, and what is there."""
    numbers = await scrape(url)
    sockets = {k: v for k, v in numbers.items() if k.startswith("nabra_provider_sockets")}
    busy = sum(count for name, count in sockets.items() if "idle" not in name)
    return busy, (
        numbers["nabra_sessions"],
        numbers["nabra_tasks"],
        numbers["process_open_fds"],
        sum(sockets.values()) - busy,
        float(sum(record.ended_at is None for record in simulator.requests)),
    )
