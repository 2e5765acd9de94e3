"""Many callers while TTS is truncated and sockets are throttled: completeness and first audio."""

import asyncio
from collections.abc import Sequence

from app.simulator.child import SimulatorProcess
from bench.harness import (
    TimedTurn,
    ToneAudio,
    caller,
    gateway,
    percentile,
    settings_for,
    stats_of,
    take_turn,
)
from bench.results import Cell, Plot, Result, Series, Table

SESSIONS = 16
TRANSPORTS = ("websocket", "rest", "auto")
SHARES = (0.0, 0.5)
"""Shares of the TTS requests that the provider truncates."""

THROTTLE = "4/20"
TURNS = 4


async def run() -> Result:
    """Run 16 sessions at once over each transport, with and without truncation."""
    runs = {
        share: await asyncio.gather(*(_run_sessions(transport, share) for transport in TRANSPORTS))
        for share in SHARES
    }
    rows = [row for pair in zip(*runs.values(), strict=True) for row in _rows(pair)]
    table = Table(
        f"{SESSIONS} sessions at once; the provider truncates TTS and accepts 4 sockets in 20 s",
        (
            "transport",
            "truncated",
            "responses whole",
            "requests per sentence",
            "sockets opened",
            "first audio p50 s",
            "p95 s",
            "p95 / p95 without faults",
        ),
        rows,
        f"Profile `measured`, {TURNS} typed turns per session after one warm-up turn. Truncated: "
        "share of the TTS requests. First audio is counted from the question.",
    )
    return Result("recovery", [table], [_plot(rows)])


class TransportRun:
    """The turns of all sessions over one transport at one share of truncated requests."""

    def __init__(self, transport: str, share: float) -> None:
        self.transport = transport
        self.share = share
        self.turns: list[TimedTurn] = []
        self.sockets = 0

    @property
    def first_audio_s(self) -> list[float]:
        """For each turn, when its first audio arrived."""
        return [turn.first("tts_chunk")[0] for turn in self.turns]


async def _run_sessions(transport: str, share: float) -> TransportRun:
    """Run all sessions on a gateway and a simulator of their own, with a fixed random seed."""
    run = TransportRun(transport, share)
    arguments = ["--profile=measured", "--voice=hum", "--seed=1", f"--throttle={THROTTLE}"]
    arguments += [f"--fault=truncated={share}"] if share else []
    async with SimulatorProcess(arguments) as simulator:
        settings = settings_for(
            simulator,
            TTS_TRANSPORT=transport,
            STT_TRANSPORT="rest" if transport == "rest" else "websocket",
        )
        async with gateway(**settings) as url, asyncio.TaskGroup() as tasks:
            for session in range(SESSIONS):
                tasks.create_task(_converse(url, session, run))
        stats = await stats_of(simulator)
    run.sockets = stats["sockets_opened"]
    return run


async def _converse(url: str, session: int, run: TransportRun) -> None:
    async with caller(url) as socket:
        for number in range(1 + TURNS):
            question = {"type": "text", "text": f"سؤال {number} من متصل {session}"}
            turn = await take_turn(socket, question)
            if number:
                run.turns.append(turn)


def _rows(runs: Sequence[TransportRun]) -> list[Sequence[Cell]]:
    """Return the rows of one transport; the first run is the one without faults."""
    fault_free = percentile(runs[0].first_audio_s, 0.95)
    rows: list[Sequence[Cell]] = []
    for run in runs:
        whole = sum(set(turn.verdicts(ToneAudio())) == {"whole"} for turn in run.turns)
        sentences = [
            row for turn in run.turns for row in turn.first("done")[1]["metrics"]["sentences"]
        ]
        p95 = percentile(run.first_audio_s, 0.95)
        rows.append(
            (
                run.transport,
                f"{run.share:.0%}",
                f"{whole} of {len(run.turns)}",
                round(sum(row["attempts"] for row in sentences) / len(sentences), 2),
                run.sockets,
                percentile(run.first_audio_s, 0.5),
                p95,
                round(p95 / fault_free, 2),
            )
        )
    return rows


def _plot(rows: Sequence[Sequence[Cell]]) -> Plot:
    shares = [f"{share:.0%}" for share in SHARES]
    series = [
        Series(transport, shares, [float(row[6] or 0) for row in rows if row[0] == transport])
        for transport in TRANSPORTS
    ]
    return Plot(
        "first",
        "First audio, 95th percentile",
        "TTS requests truncated",
        "seconds",
        series,
        kind="bars",
    )
