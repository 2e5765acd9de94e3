"""First and last audio of a spoken turn, beside the theoretical minimum."""

import asyncio
from collections.abc import Sequence

from app.settings import Settings
from app.simulator.child import SimulatorProcess
from app.simulator.profiles import PROFILES, Timing
from bench.harness import (
    StaggeredStart,
    TimedTurn,
    ask,
    caller,
    gateway,
    percentile,
    recorded_utterance,
    settings_for,
    take_turn,
)
from bench.playback import Playback
from bench.results import Cell, Plot, Result, Series, Table
from bench.speakers import Input
from bench.speakers import speaker as speaker_for
from bench.theoretical_minimum import TheoreticalMinimum, theoretical_minimum

WARM_UP = {"type": "text", "text": "مرحبا"}
TURNS = 4
INPUTS_SIDE_BY_SIDE: tuple[tuple[Input, ...], ...] = (("wav",), ("streamed", "hands-free"))
"""What comes from a microphone is mostly waiting, so more of it is measured at the same time."""

ADDED_TURNS = 20
TIMING = PROFILES["measured"]
LOOKAHEAD: int = Settings.model_fields["tts_lookahead"].default
FIRST_CHARS: int = Settings.model_fields["first_chunk_min_chars"].default


async def run() -> Result:
    """Take four spoken turns over each transport, with the timing of the real providers."""
    variants = [
        (transport, chars)
        for transport in ("websocket", "rest", "auto")
        for chars in (FIRST_CHARS, 0)
    ]
    start = StaggeredStart(len(variants))
    async with asyncio.TaskGroup() as tasks:  # side by side, because nearly all of it is waiting
        measuring = [tasks.create_task(_measure(start, *variant)) for variant in variants]
    rows = [task.result() for task in measuring]
    table = Table(
        "Spoken turns on a warm gateway",
        (
            "STT and TTS transport",
            "speech starts with",
            "first audio p50 s",
            "minimum s",
            "above minimum p50 ms",
            "max ms",
            "last audio p50 s",
            "minimum s",
            "above minimum p50 ms",
            "max ms",
            "silence max s",
        ),
        rows,
        f"Profile `measured`, {TURNS} turns per row after one warm-up turn. Times are counted from "
        "the end of the utterance. Simulator, gateway and caller are three processes. Minimum: the "
        "theoretical minimum. It counts STT, the agent's tokens, and each sentence's first audio "
        f"and pace, as the simulator is set, with {1 + LOOKAHEAD} sentences synthesized at a time. "
        "With `auto`, STT uses sockets.",
    )
    return Result("first_audio", [await _added_table(), table], [_plot(rows)])


async def _added_table() -> Table:
    """Measure what the gateway adds to first audio, in many short turns."""
    rows: list[Sequence[Cell]] = []
    for inputs in INPUTS_SIDE_BY_SIDE:
        variants = [(input, transport) for input in inputs for transport in ("websocket", "rest")]
        start = StaggeredStart(len(variants))
        async with asyncio.TaskGroup() as tasks:
            measuring = [tasks.create_task(_added(start, *variant)) for variant in variants]
        rows += [task.result() for task in measuring]
    return Table(
        "First audio after the earliest moment",
        ("input", "STT and TTS transport", "turns", "p50 ms", "p95 ms", "max ms"),
        rows,
        f"Profile `fast`, {ADDED_TURNS} turns per row after two warm-up turns, first clause. The "
        "earliest moment is the theoretical minimum of the response after the end of the question. "
        "Input: three seconds of speech; `wav`, a recording of 16 kHz in base64, counts from the "
        "moment when the caller begins to send it, `streamed` by binary messages from its "
        "`audio_end`, `hands-free` from the moment when the caller has sent the frame that "
        "completes the pause.",
    )


async def _added(start: StaggeredStart, input: Input, transport: str) -> Sequence[Cell]:
    """Ask again and again in one session."""
    timing = PROFILES["fast"]
    async with SimulatorProcess(["--profile=fast", "--voice=hum"]) as simulator:
        settings = settings_for(simulator, TTS_TRANSPORT=transport, STT_TRANSPORT=transport)
        async with gateway(**settings) as url, caller(url) as socket:
            speaker = speaker_for(input, socket)
            await speaker.open()
            await start.wait()
            try:
                await take_turn(socket, WARM_UP)
                turns = [await ask(socket, speaker) for _ in range(1 + ADDED_TURNS)][1:]
            finally:
                await speaker.close()
    added_ms = [
        1000
        * (
            turn.first("tts_chunk")[0]
            - minimum_of(turn, FIRST_CHARS, timing.stt_ms / 1000, timing).first_s
        )
        for turn in turns
    ]
    shares = (percentile(added_ms, 0.5), percentile(added_ms, 0.95), max(added_ms))
    return (input, transport, len(turns), *(round(ms, 1) for ms in shares))


def _plot(rows: Sequence[Sequence[Cell]]) -> Plot:
    names = [f"{transport}\n{starts_with}" for transport, starts_with, *_ in rows]
    return Plot(
        "first",
        "First audio of a spoken turn",
        "",
        "seconds",
        [
            Series("theoretical minimum", names, [_number(row[3]) for row in rows]),
            Series("measured", names, [_number(row[2]) for row in rows]),
        ],
        kind="bars",
    )


async def _measure(start: StaggeredStart, transport: str, first_chars: int) -> Sequence[Cell]:
    """Give the row a simulator and a gateway of its own, so that rows do not share a pool."""
    async with SimulatorProcess(["--profile=measured", "--voice=hum"]) as simulator:
        settings = settings_for(
            simulator,
            TTS_TRANSPORT=transport,
            STT_TRANSPORT="websocket" if transport == "auto" else transport,
            FIRST_CHUNK_MIN_CHARS=str(first_chars),
        )
        async with gateway(**settings) as url, caller(url) as socket:
            await start.wait()
            await take_turn(socket, WARM_UP)
            turns = [await take_turn(socket, recorded_utterance()) for _ in range(TURNS)]
    playbacks = [Playback.of(turn) for turn in turns]
    minimums = [minimum_of(turn, first_chars, TIMING.stt_ms / 1000) for turn in turns]
    first_ms, last_ms = above_minimum_ms(playbacks, minimums)
    return (
        transport,
        "first clause" if first_chars else "whole sentence",
        percentile([each.first_s for each in playbacks], 0.5),
        percentile([each.first_s for each in minimums], 0.5),
        round(percentile(first_ms, 0.5)),
        round(max(first_ms)),
        percentile([each.last_s for each in playbacks], 0.5),
        percentile([each.last_s for each in minimums], 0.5),
        round(percentile(last_ms, 0.5)),
        round(max(last_ms)),
        max(each.silence_s for each in playbacks),
    )


def minimum_of(
    turn: TimedTurn, first_chars: int, asked_at_s: float, timing: Timing = TIMING
) -> TheoreticalMinimum:
    """Compute the theoretical minimum for the response of this turn."""
    response = turn.first("agent_response")[1]["text"]
    return theoretical_minimum(
        response, timing, first_chars=first_chars, lookahead=LOOKAHEAD, asked_at_s=asked_at_s
    )


def above_minimum_ms(
    playbacks: Sequence[Playback], minimums: Sequence[TheoreticalMinimum]
) -> tuple[list[float], list[float]]:
    """Return for each turn how far first and last audio are above the minimum."""
    pairs = list(zip(playbacks, minimums, strict=True))
    return (
        [1000 * (turn.first_s - minimum.first_s) for turn, minimum in pairs],
        [1000 * (turn.last_s - minimum.last_s) for turn, minimum in pairs],
    )


def _number(cell: Cell) -> float:
    assert isinstance(cell, float)
    return cell
