"""Delay of first audio from provider to caller through one process, with up to 200 sessions."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bench.harness import percentile
from bench.load import CallerStats, Framing, Kind, Loop, callers, provider, relay
from bench.results import Cell, Plot, Result, Series, Table

LEVELS = (1, 10, 50, 100, 200)
FRAMINGS: tuple[Framing, ...] = ("base64", "binary")
PROBES = 6
"""Sessions that ask for a short response again and again, half of them in each framing. Their
first audio is timed."""

STEADY_S, MEASURED_S = 2.0, 5.0
"""Until newly added sessions are in steady state, and how long the probes run."""

NOTE = (
    "From the first byte leaving the provider to the first byte at the caller. This includes the "
    "relay, two hops on loopback and the event loops of provider and callers. Baseline: the same "
    "relay without Nabra's work. Sessions receive speech all the time, in base64. "
    f"{PROBES} of them, half in each framing, ask for short responses without a pause instead; "
    "only these are timed. Probes: their responses."
)


async def run() -> Result:
    """Measure the gateway on both event loops, and the baseline."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[Series] = []
    plan: tuple[tuple[Kind, Loop, tuple[int, ...]], ...] = (
        ("baseline", "uvloop", (1, 100)),
        ("gateway", "uvloop", LEVELS),
        ("gateway", "asyncio", LEVELS),
    )
    for kind, loop, levels in plan:
        name = "Nabra" if kind == "gateway" else "baseline"
        stats = await _measure_levels(kind, loop, levels)
        for framing in FRAMINGS:
            p95 = []
            for level in levels:
                times = stats[level, framing].overheads_ms
                shares = [percentile(times, share) for share in (0.5, 0.95, 0.99)]
                rows.append((name, loop, framing, level, len(times), *shares))
                p95.append(shares[1])
            lines.append(Series(f"{name}, {loop}, {framing}", levels, p95))
    return Result(
        "overhead",
        [
            Table(
                "First audio, provider to caller",
                ("relay", "loop", "framing", "sessions", "probes", "p50 ms", "p95 ms", "p99 ms"),
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


async def _measure_levels(
    kind: Kind, loop: Loop, levels: Sequence[int]
) -> dict[tuple[int, Framing], CallerStats]:
    """Return the stats of the probes at each number of sessions in each framing."""
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(provider())
        # a short linger (the wait for late audio) leaves time for more probes
        started = relay(kind, addresses, loop=loop, HAMSA_LINGER_S="0.02")
        url = (await stack.enter_async_context(started)).url
        stats: dict[tuple[int, Framing], CallerStats] = {}
        speaking = 0
        await probe(url, 1, "base64", for_s=1.0)
        for level in levels:
            if level == 1:
                for framing in FRAMINGS:
                    stats[level, framing] = await probe(url, 1, framing, for_s=MEASURED_S)
                continue
            more = level - PROBES - speaking
            group = callers(url, more, framing="base64", wait_for_playback=True, name=f"{level}")
            await (await stack.enter_async_context(group)).start()
            speaking += more
            await asyncio.sleep(STEADY_S)
            probes = (probe(url, PROBES // 2, each, for_s=MEASURED_S) for each in FRAMINGS)
            for framing, measured in zip(FRAMINGS, await asyncio.gather(*probes), strict=True):
                stats[level, framing] = measured
        return stats


async def probe(url: str, sessions: int, framing: Framing, *, for_s: float) -> CallerStats:
    """Ask for short responses again and again, and time their first audio."""
    group = callers(
        url, sessions, framing=framing, for_s=for_s, question="short", name=f"probe-{framing}"
    )
    async with group as probes:
        await probes.start()
        return await probes.stats()
