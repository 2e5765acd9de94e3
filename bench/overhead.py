"""First audio from provider to caller, through one process with ever more speaking sessions."""

import asyncio
from contextlib import AsyncExitStack

from bench.harness import percentile
from bench.load import Framing, Heard, Kind, Loop, callers, provider, relay
from bench.results import Cell, Plot, Result, Series, Table

LEVELS = (1, 10, 50, 100, 200)
PROBES = 5
"""Of the sessions, so many ask for a short answer again and again: their first audio is timed."""

STEADY_S, MEASURED_S = 2.0, 4.0
"""Until the sessions that were added speak as all do, and how long probes are sent."""

NOTE = (
    "From the first byte leaving the provider to the first byte at the caller: relay, two hops on "
    "loopback, and the two event loops of the load. In a speaking session the caller always "
    f"hears speech; {PROBES} of the sessions ask for short answers without a pause, and are timed."
)


async def run() -> Result:
    """Measure the gateway in both framings on both event loops, and the floor."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[Series] = []
    plan: tuple[tuple[Kind, Loop, Framing], ...] = (
        ("floor", "uvloop", "base64"),
        ("gateway", "uvloop", "base64"),
        ("gateway", "uvloop", "binary"),
        ("gateway", "asyncio", "base64"),
        ("gateway", "asyncio", "binary"),
    )
    for kind, loop, framing in plan:
        name = "Nabra" if kind == "gateway" else "floor"
        found = await _levels(kind, loop, framing)
        for level, heard in found.items():
            times = heard.overheads_ms
            shares = [percentile(times, share) for share in (0.5, 0.95, 0.99)]
            rows.append((name, loop, framing, level, len(times), *shares))
        p95 = [percentile(heard.overheads_ms, 0.95) for heard in found.values()]
        lines.append(Series(f"{name}, {loop}, {framing}", list(found), p95))
    return Result(
        "overhead",
        [
            Table(
                "First audio, provider to caller",
                ("relay", "loop", "framing", "sessions", "answers", "p50 ms", "p95 ms", "p99 ms"),
                rows,
                NOTE,
            )
        ],
        [
            Plot(
                "overhead",
                "First audio, provider to caller: 95th percentile",
                "speaking sessions",
                "ms",
                lines,
            )
        ],
    )


async def _levels(kind: Kind, loop: Loop, framing: Framing) -> dict[int, Heard]:
    levels = LEVELS if kind == "gateway" else (LEVELS[0], LEVELS[-2])
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(provider())
        # what is waited for late audio is no part of what is measured: the shorter, the more probes
        started = relay(kind, addresses, loop=loop, HAMSA_LINGER_S="0.02")
        url = (await stack.enter_async_context(started)).url
        found: dict[int, Heard] = {}
        speaking = 0
        await probe(url, 1, framing, for_s=1.0)
        for level in levels:
            probes = min(PROBES, level)
            if more := level - probes - speaking:
                group = callers(url, more, framing=framing, listening=True, name=f"{level}")
                await (await stack.enter_async_context(group)).begin()
                speaking += more
                await asyncio.sleep(STEADY_S)
            found[level] = await probe(url, probes, framing, for_s=MEASURED_S)
        return found


async def probe(url: str, sessions: int, framing: Framing, *, for_s: float) -> Heard:
    """Ask for short answers, and time them."""
    group = callers(url, sessions, framing=framing, for_s=for_s, question="short", name="probe")
    async with group as probes:
        await probes.begin()
        return await probes.heard()
