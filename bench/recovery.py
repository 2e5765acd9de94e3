"""Answers truncated, sockets throttled, many callers: what is whole, and how early."""

import asyncio
from collections.abc import Sequence

from app.simulator.child import SimulatorProcess
from bench.harness import (
    Hummed,
    TimedTurn,
    caller,
    gateway,
    percentile,
    settings_for,
    stats_of,
    take_turn,
)
from bench.results import Cell, Plot, Result, Series, Table

SESSIONS = 16
WAYS = ("websocket", "rest", "auto")
SHARES = (0.0, 0.5)
THROTTLE = "4/20"
TURNS = 4


async def run() -> Result:
    """Let 16 sessions talk at once by each transport, with and without truncation."""
    runs = {share: await asyncio.gather(*(_talk(way, share) for way in WAYS)) for share in SHARES}
    rows = [row for talks in zip(*runs.values(), strict=True) for row in _rows(talks)]
    table = Table(
        f"{SESSIONS} sessions at once; the provider truncates answers and bears 4 sockets in 20 s",
        (
            "transport",
            "truncated",
            "answers whole",
            "requests per sentence",
            "sockets opened",
            "first audio p50 s",
            "p95 s",
            "p95 / that without faults",
        ),
        rows,
        f"Profile `measured`, {TURNS} typed turns a session after one that settles. Whole: all "
        "sentences, byte for byte. First audio is counted from the question.",
    )
    return Result("recovery", [table], [_plot(rows)])


class Talk:
    """What came of one run."""

    def __init__(self, way: str, share: float) -> None:
        self.way = way
        self.share = share
        self.turns: list[TimedTurn] = []
        self.sockets = 0

    @property
    def first_audio_s(self) -> list[float]:
        """When each turn's first audio came."""
        return [turn.first("tts_chunk")[0] for turn in self.turns]


async def _talk(way: str, share: float) -> Talk:
    talk = Talk(way, share)
    arguments = ["--profile=measured", "--voice=hum", "--seed=1", f"--throttle={THROTTLE}"]
    arguments += [f"--fault=truncated={share}"] if share else []
    async with SimulatorProcess(arguments) as simulator:
        settings = settings_for(
            simulator, TTS_TRANSPORT=way, STT_TRANSPORT="rest" if way == "rest" else "websocket"
        )
        async with gateway(**settings) as url, asyncio.TaskGroup() as tasks:
            for session in range(SESSIONS):
                tasks.create_task(_converse(url, session, talk))
        stats = await stats_of(simulator)
    talk.sockets = stats["sockets_opened"]
    return talk


async def _converse(url: str, session: int, talk: Talk) -> None:
    async with caller(url) as socket:
        for number in range(1 + TURNS):
            question = {"type": "text", "text": f"سؤال {number} من متصل {session}"}
            turn = await take_turn(socket, question)
            if number:
                talk.turns.append(turn)


def _rows(talks: Sequence[Talk]) -> list[Sequence[Cell]]:
    fault_free = percentile(talks[0].first_audio_s, 0.95)
    rows: list[Sequence[Cell]] = []
    for talk in talks:
        whole = sum(set(turn.verdicts(Hummed())) == {"whole"} for turn in talk.turns)
        sentences = [
            row for turn in talk.turns for row in turn.first("done")[1]["metrics"]["sentences"]
        ]
        p95 = percentile(talk.first_audio_s, 0.95)
        rows.append(
            (
                talk.way,
                f"{talk.share:.0%}",
                f"{whole} of {len(talk.turns)}",
                round(sum(row["attempts"] for row in sentences) / len(sentences), 2),
                talk.sockets,
                percentile(talk.first_audio_s, 0.5),
                p95,
                round(p95 / fault_free, 2),
            )
        )
    return rows


def _plot(rows: Sequence[Sequence[Cell]]) -> Plot:
    shares = [f"{share:.0%}" for share in SHARES]
    series = [
        Series(way, shares, [float(row[6] or 0) for row in rows if row[0] == way]) for way in WAYS
    ]
    return Plot(
        "first",
        "First audio that 95 % of the turns keep to",
        "answers truncated",
        "seconds",
        series,
        kind="bars",
    )
