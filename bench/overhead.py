"""Delay of first audio through one process, from question or provider, with up to 200 sessions."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bench.harness import percentile
from bench.load import (
    FIRST_AUDIO_S,
    FIRST_TOKEN_S,
    STT_S,
    CallerStats,
    Framing,
    Kind,
    Loop,
    callers,
    provider,
    relay,
)
from bench.results import Cell, Plot, Result, Series, Table
from bench.speakers import Input

LEVELS = (1, 10, 50, 100, 200)
FRAMINGS: tuple[Framing, ...] = ("base64", "binary")
PROBES = 6
"""Sessions that ask for a short response again and again, half of them in each framing. Their
first audio is timed."""

STEADY_S, MEASURED_S = 2.0, 5.0
"""Until newly added sessions are in steady state, and how long the probes run."""

INPUTS: tuple[Input, ...] = ("typed", "wav", "streamed", "hands-free")
QUESTION_SESSIONS, QUESTIONS = 2, 4
"""Sessions that ask in each way, at the same time, and how often each of them does."""

NOTE = (
    "From the first byte leaving the provider to the first byte at the caller. This includes the "
    "relay, two hops on loopback and the event loops of provider and callers. Baseline: the same "
    "relay without Nabra's work. Sessions receive speech all the time, in base64. "
    f"{PROBES} of them, half in each framing, ask for short responses without a pause instead; "
    "only these are timed. Probes: their responses."
)
QUESTION_NOTE = (
    "From the end of the question to first audio at the caller, less what provider and agent take "
    f"by themselves ({1000 * STT_S:.0f} ms of STT, {1000 * FIRST_TOKEN_S:.0f} ms to the agent's "
    f"first token, {1000 * FIRST_AUDIO_S:.0f} ms to first audio): the relay, ten hops on loopback, "
    "and the timers of the provider. The question is three seconds of speech: a WAV of 16 kHz in "
    "base64, from the moment when the caller begins to send it; streamed by binary messages, from "
    "its `audio_end`; hands-free, from the moment when the pause was long enough. "
    f"{QUESTION_SESSIONS} sessions ask in each way, all side by side, while others receive speech. "
    "Event loop: uvloop."
)


@dataclass(slots=True)
class Measured:
    """What one relay did."""

    relayed: dict[tuple[int, Framing], CallerStats] = field(default_factory=dict)
    """By the number of sessions."""
    asked: dict[tuple[int, Input], CallerStats] = field(default_factory=dict)
    """By the number of sessions that receive speech meanwhile."""


async def run() -> Result:
    """Measure the gateway on both event loops, and the baseline."""
    relayed: list[tuple[Cell, ...]] = []
    asked: list[tuple[Cell, ...]] = []
    lines: list[Series] = []
    plan: tuple[tuple[Kind, Loop, tuple[int, ...]], ...] = (
        ("baseline", "uvloop", (1, 100)),
        ("gateway", "uvloop", LEVELS),
        ("gateway", "asyncio", LEVELS),
    )
    for kind, loop, levels in plan:
        name = "Nabra" if kind == "gateway" else "baseline"
        measured = await _measure_levels(kind, loop, levels)
        for framing in FRAMINGS:
            p95 = []
            for level in levels:
                times = measured.relayed[level, framing].overheads_ms
                relayed.append((name, loop, framing, level, len(times), *_shares(times)))
                p95.append(percentile(times, 0.95))
            lines.append(Series(f"{name}, {loop}, {framing}", levels, p95))
        for (speaking, input), stats in sorted(measured.asked.items(), key=_by_input):
            times = [ms - 1000 * _provider_s(input) for ms in stats.waits_ms]
            asked.append((input, name, speaking, len(times), *_shares(times)))
    return Result("overhead", _tables(relayed, asked), [_plot(lines)])


def _tables(relayed: Sequence[Sequence[Cell]], asked: Sequence[Sequence[Cell]]) -> list[Table]:
    shares = ("p50 ms", "p95 ms", "p99 ms")
    return [
        Table(
            "First audio, end of the question to caller, beyond what the providers take",
            ("input", "relay", "others speaking", "questions", *shares),
            asked,
            QUESTION_NOTE,
        ),
        Table(
            "First audio, provider to caller",
            ("relay", "loop", "framing", "sessions", "probes", *shares),
            relayed,
            NOTE,
        ),
    ]


def _plot(lines: Sequence[Series]) -> Plot:
    title = "First audio, provider to caller: 95th percentile"
    return Plot("overhead", title, "speaking sessions", "ms", lines)


def _shares(times_ms: Sequence[float]) -> tuple[float, float, float]:
    return percentile(times_ms, 0.5), percentile(times_ms, 0.95), percentile(times_ms, 0.99)


def _by_input(item: tuple[tuple[int, Input], CallerStats]) -> tuple[int, int]:
    (speaking, input), _ = item
    return INPUTS.index(input), speaking


def _provider_s(input: Input) -> float:
    """Return what provider and agent take by themselves until first audio."""
    return (0.0 if input == "typed" else STT_S) + FIRST_TOKEN_S + FIRST_AUDIO_S


async def _measure_levels(kind: Kind, loop: Loop, levels: Sequence[int]) -> Measured:
    """Return the stats of the probes, and on uvloop of questions, at each number of sessions."""
    async with AsyncExitStack() as stack:
        addresses = await stack.enter_async_context(provider(transcript="short"))
        # a short linger (the wait for late audio) leaves time for more probes
        started = relay(kind, addresses, loop=loop, HAMSA_LINGER_S="0.02")
        url = (await stack.enter_async_context(started)).url
        measured = Measured()
        speaking = 0
        await probe(url, 1, "base64", for_s=1.0)
        if loop == "uvloop":
            await _ask_in_all_ways(url, turns=1)
        for level in levels:
            if level == 1:
                for framing in FRAMINGS:
                    measured.relayed[level, framing] = await probe(
                        url, 1, framing, for_s=MEASURED_S
                    )
            else:
                more = level - PROBES - speaking
                group = callers(
                    url, more, framing="base64", wait_for_playback=True, name=f"{level}"
                )
                await (await stack.enter_async_context(group)).start()
                speaking += more
                await asyncio.sleep(STEADY_S)
                probes = (probe(url, PROBES // 2, each, for_s=MEASURED_S) for each in FRAMINGS)
                for framing, stats in zip(FRAMINGS, await asyncio.gather(*probes), strict=True):
                    measured.relayed[level, framing] = stats
            if loop == "uvloop":
                asked = await _ask_in_all_ways(url, turns=QUESTIONS)
                measured.asked |= {(speaking, input): stats for input, stats in asked.items()}
        return measured


async def _ask_in_all_ways(url: str, *, turns: int) -> dict[Input, CallerStats]:
    """Ask by each input, side by side: nearly all of it is waiting."""

    async def ask(input: Input) -> CallerStats:
        group = callers(
            url,
            QUESTION_SESSIONS,
            framing="binary",
            input=input,
            turns=turns,
            question="short",
            name=f"ask-{input}",
        )
        async with group as asking:
            await asking.start()
            return await asking.stats()

    stats = await asyncio.gather(*(ask(input) for input in INPUTS))
    return dict(zip(INPUTS, stats, strict=True))


async def probe(url: str, sessions: int, framing: Framing, *, for_s: float) -> CallerStats:
    """Ask for short responses again and again, and time their first audio."""
    group = callers(
        url, sessions, framing=framing, for_s=for_s, question="short", name=f"probe-{framing}"
    )
    async with group as probes:
        await probes.start()
        return await probes.stats()
