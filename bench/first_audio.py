"""First and last audio beside the earliest moments that the providers' own timing allows."""

import asyncio
from collections.abc import Sequence

from app.settings import Settings
from app.simulator.child import SimulatorProcess
from app.simulator.profiles import PROFILES
from bench.harness import (
    StartingLine,
    TimedTurn,
    caller,
    gateway,
    percentile,
    settings_for,
    spoken,
    take_turn,
)
from bench.playback import Heard
from bench.results import Cell, Plot, Result, Series, Table
from bench.theoretical_minimum import Earliest, earliest

WARMING = {"type": "text", "text": "مرحبا"}
TURNS = 4
TIMING = PROFILES["seed"]
LOOKAHEAD: int = Settings.model_fields["tts_lookahead"].default
FIRST_CHARS: int = Settings.model_fields["first_chunk_min_chars"].default


async def run() -> Result:
    """Four spoken turns by each transport, with the timing measured at the real providers."""
    ways = [(way, chars) for way in ("websocket", "rest", "auto") for chars in (FIRST_CHARS, 0)]
    line = StartingLine(len(ways))
    async with asyncio.TaskGroup() as tasks:  # nearly all of it is waiting
        measuring = [tasks.create_task(_measure(line, way, chars)) for way, chars in ways]
    rows = [task.result() for task in measuring]
    table = Table(
        "Spoken turns of a warm gateway, beside the earliest moments possible",
        (
            "STT and TTS by",
            "speech begins with",
            "first audio p50 s",
            "earliest s",
            "later by p50 ms",
            "max ms",
            "last audio p50 s",
            "earliest s",
            "later by p50 ms",
            "max ms",
            "silence max s",
        ),
        rows,
        f"Profile `seed`, {TURNS} turns each after one that warms up; simulator, gateway and "
        f"caller are three processes. Earliest: STT, the agent's words, each sentence's first "
        f"audio and its pace as the simulator has them, {1 + LOOKAHEAD} sentences in the making at "
        f"a time, and nothing else.",
    )
    names = [f"{way}\n{begins}" for way, begins, *_ in rows]
    plot = Plot(
        "first",
        "First audio of a spoken turn",
        "",
        "seconds",
        [
            Series("earliest", names, [_number(row[3]) for row in rows]),
            Series("measured", names, [_number(row[2]) for row in rows]),
        ],
        kind="bars",
    )
    return Result("first_audio", [table], [plot])


async def _measure(line: StartingLine, way: str, first_chars: int) -> Sequence[Cell]:
    async with SimulatorProcess(["--profile=seed", "--voice=hum"]) as simulator:
        settings = settings_for(
            simulator,
            TTS_TRANSPORT=way,
            STT_TRANSPORT="websocket" if way == "auto" else way,
            FIRST_CHUNK_MIN_CHARS=str(first_chars),
        )
        async with gateway(**settings) as url, caller(url) as socket:
            await line.wait()
            await take_turn(socket, WARMING)
            turns = [await take_turn(socket, spoken()) for _ in range(TURNS)]
    heard = [Heard.of(turn) for turn in turns]
    floors = [floor_of(turn, first_chars, TIMING.stt_ms / 1000) for turn in turns]
    first_ms, last_ms = lateness_ms(heard, floors)
    return (
        way,
        "first clause" if first_chars else "whole sentence",
        percentile([each.first_s for each in heard], 0.5),
        percentile([each.first_s for each in floors], 0.5),
        round(percentile(first_ms, 0.5)),
        round(max(first_ms)),
        percentile([each.last_s for each in heard], 0.5),
        percentile([each.last_s for each in floors], 0.5),
        round(percentile(last_ms, 0.5)),
        round(max(last_ms)),
        max(each.silence_s for each in heard),
    )


def floor_of(turn: TimedTurn, first_chars: int, asked_at_s: float) -> Earliest:
    """Compute how early this very answer could have been heard."""
    answer = turn.first("agent_response")[1]["text"]
    return earliest(
        answer, TIMING, first_chars=first_chars, lookahead=LOOKAHEAD, asked_at_s=asked_at_s
    )


def lateness_ms(
    heard: Sequence[Heard], floors: Sequence[Earliest]
) -> tuple[list[float], list[float]]:
    """Return by how much first and last audio came later than they could have."""
    pairs = list(zip(heard, floors, strict=True))
    return (
        [1000 * (turn.first_s - floor.first_s) for turn, floor in pairs],
        [1000 * (turn.last_s - floor.last_s) for turn, floor in pairs],
    )


def _number(cell: Cell) -> float:
    assert isinstance(cell, float)
    return cell
