"""One answer by each way, those that were in use before and ours, at the real provider's pace."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean

from app.simulator.child import SimulatorProcess
from bench.first_audio import FIRST_CHARS, floor_of
from bench.harness import (
    SERVE,
    Hummed,
    StartingLine,
    TimedTurn,
    caller,
    gateway,
    settings_for,
    stats_of,
    take_turn,
)
from bench.legacy_transports import SETTINGS as SEED_SETTINGS
from bench.playback import Heard
from bench.results import Cell, Plot, Result, Series, Table

QUESTION = {"type": "text", "text": "السلام عليكم، أبغى أستعلم عن شحنة."}
"""It is answered by four sentences of the simulator's conversation."""

SHARES = (0.0, 0.25, 0.5)
TURNS, SEED_TURNS = 8, 3
"""Turns of a row; the ways of before take three times as long."""


@dataclass(frozen=True, slots=True)
class Way:
    """One gateway that is compared."""

    name: str
    settings: dict[str, str]
    code: str = SERVE
    turns: int = TURNS


def _seed(name: str, transport: str) -> Way:
    code = f"from bench.legacy_transports import serve; serve({transport!r})"
    return Way(name, SEED_SETTINGS, code, SEED_TURNS)


WAYS = (
    _seed("before: a socket for each request", "fresh-socket"),
    _seed("before: one socket, kept", "kept-socket"),
    Way("Nabra by websocket", {"TTS_TRANSPORT": "websocket"}),
    Way("Nabra by rest", {"TTS_TRANSPORT": "rest", "STT_TRANSPORT": "rest"}),
    Way("Nabra by auto", {"TTS_TRANSPORT": "auto"}),
)


@dataclass(slots=True)
class Row:
    """What came of one way at one share of truncated answers."""

    way: Way
    share: float
    turns: list[TimedTurn] = field(default_factory=list)
    sockets: int = 0
    connections: int = 0

    async def measure(self, line: StartingLine) -> None:
        """Ask the same question again and again, after one turn that warms up."""
        faults = [f"--fault=truncated={self.share}"] if self.share else []
        arguments = ["--profile=seed", "--voice=hum", "--seed=1", *faults]
        async with SimulatorProcess(arguments) as simulator:
            settings = settings_for(simulator, **self.way.settings)
            async with gateway(self.way.code, **settings) as url, caller(url) as socket:
                await line.wait()
                await take_turn(socket, QUESTION)
                for _ in range(self.way.turns):
                    self.turns.append(await take_turn(socket, QUESTION))
                stats = await stats_of(simulator)
        self.sockets = stats["sockets_opened"]
        self.connections = stats["http_connections"].get("2", 0)

    def cells(self) -> Sequence[Cell]:
        """Return the row of the table."""
        heard = [Heard.of(turn) for turn in self.turns]
        floor = floor_of(self.turns[0], FIRST_CHARS, 0.0)
        first_s = mean(each.first_s for each in heard)
        last_s = mean(each.last_s for each in heard)
        whole = sum(set(turn.verdicts(Hummed())) == {"whole"} for turn in self.turns)
        return (
            self.way.name,
            f"{self.share:.0%}",
            first_s,
            floor.first_s,
            round(first_s / floor.first_s, 2),
            last_s,
            floor.last_s,
            round(last_s / floor.last_s, 2),
            mean(each.silence_s for each in heard),
            self.sockets,
            self.connections,
            f"{whole} of {self.way.turns}",
        )


async def run() -> Result:
    """Ask by each way, with none, a quarter and half of all answers truncated.

    All rows are measured at the same time: nearly all of it is waiting.
    """
    rows = [Row(way, share) for way in WAYS for share in SHARES]
    line = StartingLine(len(rows))
    async with asyncio.TaskGroup() as tasks:
        for row in rows:
            tasks.create_task(row.measure(line))
    return Result("before_after", [_table(rows)], _plots(rows))


def _table(rows: Sequence[Row]) -> Table:
    floor = floor_of(rows[0].turns[0], FIRST_CHARS, 0.0)
    return Table(
        "One answer of four sentences to a typed question",
        (
            "way",
            "truncated",
            "first audio s",
            "earliest s",
            "ratio",
            "last audio s",
            "earliest s",
            "ratio",
            "silence s",
            "sockets opened",
            "HTTP connections",
            "answers whole",
        ),
        [row.cells() for row in rows],
        f"Profile `seed`; means of the turns after one that warms up; the answer plays for "
        f"{floor.audio_s:.1f} s. Earliest: what the agent's pace and the provider's timing allow "
        f"to sentences cut as Nabra cuts them, made one ahead. Silence: all gaps of a player that "
        f"begins at the first audio, of which {floor.silence_s:.2f} s cannot be saved. Whole: byte "
        f"for byte. Both ways of before waited 2 s after each `end`, tried again after 1 s and "
        f"2 s, and passed on the 20 ms of a failed attempt, "
        f"which are their first audio here. Speech-to-text would add 2 s to each row.",
    )


def _plots(rows: Sequence[Row]) -> list[Plot]:
    shares = [f"{share:.0%}" for share in SHARES]
    floor = floor_of(rows[0].turns[0], FIRST_CHARS, 0.0)

    def series(column: int) -> list[Series]:
        return [Series(way.name, shares, _column(rows, way, column)) for way in WAYS]

    return [
        Plot(
            "last",
            "Last audio of an answer of four sentences",
            "answers truncated",
            "seconds",
            series(5),
            kind="bars",
            floor=floor.last_s,
        ),
        Plot(
            "silence",
            "Silence inside the answer",
            "answers truncated",
            "seconds",
            series(8),
            kind="bars",
            floor=floor.silence_s,
        ),
    ]


def _column(rows: Sequence[Row], way: Way, column: int) -> list[float]:
    return [float(row.cells()[column] or 0) for row in rows if row.way is way]
