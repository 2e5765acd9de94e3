"""Strangers: when a polite caller hears the first audio while others attack the gateway."""

import asyncio
from urllib.parse import urlsplit

from bench.attackers import ATTACKS, attacking
from bench.harness import (
    Event,
    TimedTurn,
    ToneAudio,
    caller,
    gateway,
    percentile,
    recorded_utterance,
    take_turn,
)
from bench.results import Cell, Result, Table

CALLERS = 4
TURNS = 24
LIMIT_S = 60
"""Longest run of one attack; a turn takes 1 s."""


async def run() -> Result:
    """Take the same turns without an attack, and during each."""
    alone = await _run(None)
    rows: list[tuple[Cell, ...]] = [_row("none", alone, _p95_ms(alone))]
    for name in ATTACKS:
        turns = await _run(name)
        rows.append(_row(name, turns, _p95_ms(alone)))
    table = Table(
        f"First audio of {CALLERS} polite callers during an attack, {TURNS} turns each",
        ("attack", "turns whole", "median ms", "p95 ms", "p95 beside without"),
        rows,
        "Every second turn is spoken. Gateway, simulator and attackers share the machine's cores; "
        "the attackers' process gives way to others (nice).",
    )
    return Result("strangers", [table])


def _row(name: str, turns: list[TimedTurn], alone_ms: float) -> tuple[Cell, ...]:
    whole = sum(set(turn.verdicts(ToneAudio())) == {"whole"} for turn in turns)
    times_ms = [turn.first("tts_chunk")[0] * 1000 for turn in turns]
    p95_ms = _p95_ms(turns)
    return (
        name,
        f"{whole} of {len(turns)}",
        round(percentile(times_ms, 0.5)),
        round(p95_ms),
        f"{p95_ms / alone_ms:.1f} ×",
    )


def _p95_ms(turns: list[TimedTurn]) -> float:
    return percentile([turn.first("tts_chunk")[0] * 1000 for turn in turns], 0.95)


async def _run(attack: str | None) -> list[TimedTurn]:
    settings = {"SIMULATOR_PROFILE": "fast", "SIMULATOR_VOICE": "hum", "LOG_LEVEL": "error"}
    async with gateway(**settings) as url, asyncio.timeout(LIMIT_S):
        async with caller(url) as socket:
            await take_turn(socket, recorded_utterance())  # loads what is loaded when needed
        if attack is None:
            return await _turns(url)
        async with attacking(attack, urlsplit(url).port or 0) as attacker:
            await attacker.struck()
            return await _turns(url)


async def _turns(url: str) -> list[TimedTurn]:
    async def converse(number: int) -> list[TimedTurn]:
        await asyncio.sleep(number * 0.3)  # not in lockstep
        async with caller(url) as socket:
            return [await take_turn(socket, _message(turn)) for turn in range(TURNS // CALLERS)]

    conversations = await asyncio.gather(*map(converse, range(CALLERS)))
    return [turn for turns in conversations for turn in turns]


def _message(number: int) -> Event:
    return recorded_utterance() if number % 2 else {"type": "text", "text": "أين شحنتي"}
