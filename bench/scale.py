"""Speaking sessions that one and two processes carry, and how the CPU grows with them."""

import asyncio
from contextlib import AsyncExitStack

from bench.harness import percentile
from bench.load import callers, provider, relay, slope
from bench.overhead import PROBES, probe
from bench.results import Cell, Plot, Result, Series, Table

STEP, MAX_SESSIONS = 150, 1200
LIMIT_MS = 50.0
"""Acceptable delay of first audio, at the 95th percentile."""

STEADY_S, MEASURED_S = 3.0, 4.0

NOTE = (
    f"{STEP} sessions are added at a time, up to {MAX_SESSIONS}, while first audio takes less than "
    f"{LIMIT_MS:.0f} ms from provider to caller (p95). Each session receives speech all the time, "
    "in binary framing. Provider and callers run on the same machine and take a part of its CPU."
)


async def run() -> Result:
    """Load one process, then two, until first audio takes too long."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[Series] = []
    totals: list[tuple[Cell, ...]] = []
    for processes in (1, 2):
        measured = await _add_sessions(processes)
        rows += [(processes, *row) for row in measured]
        levels, cpu = [row[0] for row in measured], [row[1] for row in measured]
        good = [level for level, _, _, p95 in measured if p95 < LIMIT_MS]
        totals.append((processes, max(good, default=0), 10 * slope([0, *levels], [0.0, *cpu])))
        lines.append(Series(f"{processes} process{'es' * (processes > 1)}", levels, cpu))
    return Result(
        "scale",
        [
            Table(
                "Speaking sessions",
                ("processes", "sessions", "CPU ms per second and session (slope)"),
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


async def _add_sessions(processes: int) -> list[tuple[int, float, float, float]]:
    """Return sessions, CPU, and p50 and p95 of first audio, after each step."""
    measured: list[tuple[int, float, float, float]] = []
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(provider())
        relays = [
            await stack.enter_async_context(relay("gateway", addresses, HAMSA_LINGER_S="0.02"))
            for _ in range(processes)
        ]
        for each in relays:
            await probe(each.url, 1, "binary", for_s=1.0)
        for level in range(STEP, MAX_SESSIONS + 1, STEP):
            for each in relays:
                group = callers(
                    each.url,
                    STEP // processes,
                    framing="binary",
                    wait_for_playback=True,
                    for_s=120,
                    name=f"level-{level}",
                )
                await (await stack.enter_async_context(group)).start()
            await asyncio.sleep(STEADY_S)
            cpu_s = sum(each.cpu_s() for each in relays)
            started_at = asyncio.get_running_loop().time()
            probes = await asyncio.gather(
                *(probe(each.url, PROBES, "binary", for_s=MEASURED_S) for each in relays)
            )
            spent_s = sum(each.cpu_s() for each in relays) - cpu_s
            cpu = 100 * spent_s / (asyncio.get_running_loop().time() - started_at)
            times = [ms for stats in probes for ms in stats.overheads_ms]
            measured.append((level, cpu, percentile(times, 0.5), percentile(times, 0.95)))
            if measured[-1][-1] >= LIMIT_MS:
                break
    return measured
