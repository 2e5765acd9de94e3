"""First audio from provider to caller, through one process with ever more speaking sessions."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.harness import percentile
from bench.load import Framing, Heard, Kind, Loop, callers, provider, relay
from bench.results import Cell, Plot, Result, Series, Table

LEVELS = (1, 10, 50, 100, 200)
FRAMINGS: tuple[Framing, ...] = ("base64", "binary")
PROBES = 6
"""Of the sessions, so many ask for a short answer again and again, half of them in each framing:
their first audio is timed."""

STEADY_S, MEASURED_S = 2.0, 5.0
"""Until the sessions that were added speak as all do, and how long probes are sent."""

NOTE = (
    "From the first byte leaving the provider to the first byte at the caller: relay, two hops on "
    "loopback, and the two event loops of the load. In a speaking session the caller always hears "
    f"speech, in base64; {PROBES} of the sessions ask for short answers without a pause, half of "
    "them in each framing, and are timed."
)


async def run() -> Result:
    """Measure the gateway on both event loops, and the floor."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[Series] = []
    plan: tuple[tuple[Kind, Loop, tuple[int, ...]], ...] = (
        ("floor", "uvloop", (1, 100)),
        ("gateway", "uvloop", LEVELS),
        ("gateway", "asyncio", LEVELS),
    )
    for kind, loop, levels in plan:
        name = "Nabra" if kind == "gateway" else "floor"
        found = await _levels(kind, loop, levels)
        for framing in FRAMINGS:
            p95 = []
            for level in levels:
                times = found[level, framing].overheads_ms
                shares = [percentile(times, share) for share in (0.5, 0.95, 0.99)]
                rows.append((name, loop, framing, level, len(times), *shares))
                p95.append(shares[1])
            lines.append(Series(f"{name}, {loop}, {framing}", levels, p95))
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


async def _levels(
    kind: Kind, loop: Loop, levels: Sequence[int]
) -> dict[tuple[int, Framing], Heard]:
    """Return what was heard at each level in each framing."""
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(provider())
        # what is waited for late audio is no part of what is measured: the shorter, the more probes
        started = relay(kind, addresses, loop=loop, HAMSA_LINGER_S="0.02")
        url = (await stack.enter_async_context(started)).url
        found: dict[tuple[int, Framing], Heard] = {}
        speaking = 0
        await probe(url, 1, "base64", for_s=1.0)
        for level in levels:
            if level == 1:
                for framing in FRAMINGS:
                    found[level, framing] = await probe(url, 1, framing, for_s=MEASURED_S)
                continue
            more = level - PROBES - speaking
            group = callers(url, more, framing="base64", listening=True, name=f"{level}")
            await (await stack.enter_async_context(group)).begin()
            speaking += more
            await asyncio.sleep(STEADY_S)
            probes = (probe(url, PROBES // 2, each, for_s=MEASURED_S) for each in FRAMINGS)
            for framing, heard in zip(FRAMINGS, await asyncio.gather(*probes), strict=True):
                found[level, framing] = heard
        return found


async def probe(url: str, sessions: int, framing: Framing, *, for_s: float) -> Heard:
    """Ask for short answers, and time them."""
    group = callers(
        url, sessions, framing=framing, for_s=for_s, question="short", name=f"probe-{framing}"
    )
    async with group as probes:
        await probes.begin()
        return await probes.heard()
