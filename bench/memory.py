"""Resident memory per idle and per speaking session, as the slope over 200 sessions."""

import asyncio
from contextlib import AsyncExitStack

from bench.load import Callers, Kind, Relay, callers, provider, relay, slope
from bench.results import Plot, Result, Series, Table

GROUP, GROUPS = 50, 4
SETTLED_S = 1.0
SPEAKING_S, SAMPLE_S = 5.0, 0.25
"""How long each group speaks before the next one starts, and the time between two samples."""

COUNTS = [GROUP * number for number in range(1, GROUPS + 1)]


async def run() -> Result:
    """Measure the baseline and the gateway."""
    rows, lines = [], []
    relays: tuple[tuple[Kind, str], ...] = (("baseline", "baseline"), ("gateway", "Nabra"))
    for kind, name in relays:
        before, idle, speaking = await _measure(kind)
        idle_kb = slope(COUNTS, idle)
        rows.append((name, round(before), idle_kb, idle_kb + slope([0, *COUNTS], speaking)))
        lines.append(Series(f"{name}, idle", COUNTS, [kb / 1024 for kb in idle]))
        lines.append(Series(f"{name}, speaking", [0, *COUNTS], [kb / 1024 for kb in speaking]))
    return Result(
        "memory",
        [
            Table(
                "Resident memory, kilobytes",
                ("relay", "process without sessions", "per idle session", "per speaking session"),
                rows,
                f"Slope over {COUNTS[-1]} sessions. In a speaking session the responses follow "
                "each other without a pause, and the highest value within "
                f"{SPEAKING_S:.0f} s counts. The sockets to the provider and the memory that the "
                "allocator keeps are included. Baseline: the same relay without Nabra's work.",
            )
        ],
        [Plot("memory", "Resident memory", "sessions", "MB", lines)],
    )


async def _measure(kind: Kind) -> tuple[float, list[float], list[float]]:
    """Return the memory without sessions, as idle ones connect, and as they start to speak."""
    async with (
        provider() as addresses,
        relay(kind, addresses) as measured,
        AsyncExitStack() as stack,
    ):
        await _warm_up(measured)
        before, idle = measured.resident_kb(), []
        groups: list[Callers] = []
        for number in range(GROUPS):
            connected = callers(measured.url, GROUP, framing="base64", name=f"group-{number}")
            groups.append(await stack.enter_async_context(connected))
            await asyncio.sleep(SETTLED_S)
            idle.append(measured.resident_kb())
        speaking = [idle[-1]]
        for group in groups:
            await group.start()
            speaking.append(await _highest_kb(measured))
        return before, idle, speaking


async def _highest_kb(measured: Relay) -> float:
    samples = []
    for _ in range(round(SPEAKING_S / SAMPLE_S)):
        await asyncio.sleep(SAMPLE_S)
        samples.append(measured.resident_kb())
    return max(samples)


async def _warm_up(measured: Relay) -> None:
    async with callers(measured.url, 10, framing="base64", turns=1, name="warm") as group:
        await group.start()
        await group.stats()
