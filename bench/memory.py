"""Resident memory of an idle and of a speaking session: the slope over 200 sessions."""

import asyncio
from contextlib import AsyncExitStack

from bench.load import Callers, Kind, Relay, callers, provider, relay, slope
from bench.results import Plot, Result, Series, Table

GROUP, GROUPS = 50, 4
SETTLED_S = 1.0
SPEAKING_S, SAMPLE_S = 5.0, 0.25
"""How long each group has spoken before the next one begins, and between two looks."""

COUNTS = [GROUP * number for number in range(1, GROUPS + 1)]


async def run() -> Result:
    """Weigh gateway and floor."""
    rows, lines = [], []
    relays: tuple[tuple[Kind, str], ...] = (("floor", "floor"), ("gateway", "Nabra"))
    for kind, name in relays:
        before, idle, speaking = await _weigh(kind)
        idle_kb = slope(COUNTS, idle)
        rows.append((name, round(before), idle_kb, idle_kb + slope([0, *COUNTS], speaking)))
        lines.append(Series(f"{name}, idle", COUNTS, [kb / 1024 for kb in idle]))
        lines.append(Series(f"{name}, speaking", [0, *COUNTS], [kb / 1024 for kb in speaking]))
    return Result(
        "memory",
        [
            Table(
                "Resident memory, kilobytes",
                ("relay", "process before", "an idle session", "a speaking session"),
                rows,
                f"Slope over {COUNTS[-1]} sessions that answer without a pause, at the highest of "
                f"what was seen in {SPEAKING_S:.0f} s; the provider's sockets and what the "
                "allocator keeps are in it.",
            )
        ],
        [Plot("memory", "Resident memory", "sessions", "MB", lines)],
    )


async def _weigh(kind: Kind) -> tuple[float, list[float], list[float]]:
    """Return the memory before, with more and more sessions, and with more and more speaking."""
    async with (
        provider() as addresses,
        relay(kind, addresses) as weighed,
        AsyncExitStack() as stack,
    ):
        await _warm_up(weighed)
        before, idle = weighed.resident_kb(), []
        groups: list[Callers] = []
        for number in range(GROUPS):
            connected = callers(weighed.url, GROUP, framing="base64", name=f"group-{number}")
            groups.append(await stack.enter_async_context(connected))
            await asyncio.sleep(SETTLED_S)
            idle.append(weighed.resident_kb())
        speaking = [idle[-1]]
        for group in groups:
            await group.begin()
            speaking.append(await _highest_kb(weighed))
        return before, idle, speaking


async def _highest_kb(weighed: Relay) -> float:
    seen = []
    for _ in range(round(SPEAKING_S / SAMPLE_S)):
        await asyncio.sleep(SAMPLE_S)
        seen.append(weighed.resident_kb())
    return max(seen)


async def _warm_up(weighed: Relay) -> None:
    async with callers(weighed.url, 10, framing="base64", turns=1, name="warm") as group:
        await group.begin()
        await group.heard()
