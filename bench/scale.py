"""How many speaking sessions one process carries, and two; how the cost grows with them."""

import asyncio
from contextlib import AsyncExitStack

from bench.harness import percentile
from bench.load import callers, provider, relay, slope
from bench.overhead import PROBES, probe
from bench.results import Cell, Plot, Result, Series, Table

STEP, MOST = 150, 1200
LIMIT_MS = 50.0
"""Overhead of first audio, at the 95th percentile, that is still no burden."""

STEADY_S, MEASURED_S = 3.0, 4.0

NOTE = (
    f"Sessions are added {STEP} at a time while first audio takes less than {LIMIT_MS:.0f} ms from "
    "provider to caller (p95). In each the caller always hears speech; binary framing. Provider "
    "and callers share the machine, and take their part of it."
)


async def run() -> Result:
    """Load one process, then two, until first audio is late."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[Series] = []
    totals: list[tuple[Cell, ...]] = []
    for processes in (1, 2):
        found = await _climb(processes)
        rows += [(processes, *row) for row in found]
        levels, cpu = [row[0] for row in found], [row[1] for row in found]
        good = [level for level, _, _, p95 in found if p95 < LIMIT_MS]
        totals.append((processes, max(good, default=0), 10 * slope([0, *levels], [0.0, *cpu])))
        lines.append(Series(f"{processes} process{'es' * (processes > 1)}", levels, cpu))
    return Result(
        "scale",
        [
            Table(
                "Speaking sessions that are carried",
                ("processes", "sessions", "CPU ms a second of each (slope)"),
                totals,
                NOTE,
            ),
            Table(
                "Load and first audio",
                ("processes", "sessions", "CPU %", "p50 ms", "p95 ms"),
                rows,
            ),
        ],
        [Plot("scale", "CPU of the gateway", "speaking sessions", "% of a core", lines)],
    )


async def _climb(processes: int) -> list[tuple[int, float, float, float]]:
    """Return sessions, CPU, and p50 and p95 of first audio, level by level."""
    found: list[tuple[int, float, float, float]] = []
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(provider())
        relays = [
            await stack.enter_async_context(relay("gateway", addresses, HAMSA_LINGER_S="0.02"))
            for _ in range(processes)
        ]
        for relayed in relays:
            await probe(relayed.url, 1, "binary", for_s=1.0)
        for level in range(STEP, MOST + 1, STEP):
            for relayed in relays:
                group = callers(
                    relayed.url,
                    STEP // processes,
                    framing="binary",
                    listening=True,
                    for_s=120,
                    name=f"level-{level}",
                )
                await (await stack.enter_async_context(group)).begin()
            await asyncio.sleep(STEADY_S)
            cpu_s = sum(relayed.cpu_s() for relayed in relays)
            started_at = asyncio.get_running_loop().time()
            heard = await asyncio.gather(
                *(probe(r.url, PROBES, "binary", for_s=MEASURED_S) for r in relays)
            )
            spent_s = sum(relayed.cpu_s() for relayed in relays) - cpu_s
            cpu = 100 * spent_s / (asyncio.get_running_loop().time() - started_at)
            times = [ms for part in heard for ms in part.overheads_ms]
            found.append((level, cpu, percentile(times, 0.5), percentile(times, 0.95)))
            if found[-1][-1] >= LIMIT_MS:
                break
    return found
