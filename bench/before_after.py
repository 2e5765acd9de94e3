"""One response by the system that Nabra replaces and by Nabra, at the real providers' pace."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean

from app.simulator.child import SimulatorProcess
from bench.first_audio import FIRST_CHARS, minimum_of
from bench.harness import (
    SERVE,
    StaggeredStart,
    TimedTurn,
    ToneAudio,
    caller,
    gateway,
    settings_for,
    stats_of,
    take_turn,
)
from bench.legacy_transports import SETTINGS as LEGACY_SETTINGS
from bench.playback import Playback
from bench.results import Cell, Plot, Reference, Result, Series, Table

QUESTION = {"type": "text", "text": "السلام عليكم، أبغى أستعلم عن شحنة."}
"""The simulator's agent responds to it with four sentences."""

SHARES = (0.0, 0.25, 0.5)
"""Shares of the TTS requests that the provider truncates."""

TURNS, LEGACY_TURNS = 8, 3
"""Turns per row; those of the earlier system take three times as long."""


@dataclass(frozen=True, slots=True)
class System:
    """One gateway that is compared."""

    name: str
    settings: dict[str, str]
    code: str = SERVE
    turns: int = TURNS


def _legacy(name: str, transport: str) -> System:
    code = f"from bench.legacy_transports import serve; serve({transport!r})"
    return System(name, LEGACY_SETTINGS, code, LEGACY_TURNS)


SYSTEMS = (
    _legacy("before: new socket per request", "new-socket"),
    _legacy("before: one persistent socket", "persistent-socket"),
    System("Nabra, websocket", {"TTS_TRANSPORT": "websocket"}),
    System("Nabra, rest", {"TTS_TRANSPORT": "rest", "STT_TRANSPORT": "rest"}),
    System("Nabra, auto", {"TTS_TRANSPORT": "auto"}),
)


@dataclass(slots=True)
class Run:
    """The turns of one system at one share of truncated requests."""

    system: System
    share: float
    turns: list[TimedTurn] = field(default_factory=list)
    sockets: int = 0
    connections: int = 0

    async def measure(self, start: StaggeredStart) -> None:
        """Ask the same question again and again, after one warm-up turn."""
        faults = [f"--fault=truncated={self.share}"] if self.share else []
        arguments = ["--profile=measured", "--voice=hum", "--seed=1", *faults]
        async with SimulatorProcess(arguments) as simulator:
            settings = settings_for(simulator, **self.system.settings)
            async with gateway(self.system.code, **settings) as url, caller(url) as socket:
                await start.wait()
                await take_turn(socket, QUESTION)
                for _ in range(self.system.turns):
                    self.turns.append(await take_turn(socket, QUESTION))
                stats = await stats_of(simulator)
        self.sockets = stats["sockets_opened"]
        self.connections = stats["http_connections"].get("2", 0)

    def cells(self) -> Sequence[Cell]:
        """Return the run's row of the table."""
        playbacks = [Playback.of(turn) for turn in self.turns]
        minimum = minimum_of(self.turns[0], FIRST_CHARS, 0.0)
        first_s = mean(each.first_s for each in playbacks)
        last_s = mean(each.last_s for each in playbacks)
        whole = sum(set(turn.verdicts(ToneAudio())) == {"whole"} for turn in self.turns)
        return (
            self.system.name,
            f"{self.share:.0%}",
            first_s,
            minimum.first_s,
            round(first_s / minimum.first_s, 2),
            last_s,
            minimum.last_s,
            round(last_s / minimum.last_s, 2),
            mean(each.silence_s for each in playbacks),
            self.sockets,
            self.connections,
            f"{whole} of {self.system.turns}",
        )


async def run() -> Result:
    """Ask each system, with none, a quarter and half of all TTS requests truncated.

    All runs are measured at the same time, because nearly all of it is waiting.
    """
    runs = [Run(system, share) for system in SYSTEMS for share in SHARES]
    start = StaggeredStart(len(runs))
    async with asyncio.TaskGroup() as tasks:
        for each in runs:
            tasks.create_task(each.measure(start))
    return Result("before_after", [_table(runs)], _plots(runs))


def _table(runs: Sequence[Run]) -> Table:
    minimum = minimum_of(runs[0].turns[0], FIRST_CHARS, 0.0)
    return Table(
        "One response of four sentences to a typed question",
        (
            "system",
            "truncated",
            "first audio s",
            "minimum s",
            "ratio",
            "last audio s",
            "minimum s",
            "ratio",
            "silence s",
            "sockets opened",
            "HTTP connections",
            "responses whole",
        ),
        [each.cells() for each in runs],
        "Profile `measured`. Each row shows means over the turns after one warm-up turn. "
        "Truncated: share of the TTS requests. The response plays for "
        f"{minimum.audio_s:.1f} s. Minimum: the theoretical minimum for sentences cut as Nabra "
        "cuts them, with one synthesized ahead. Silence: sum of all gaps in a player that starts "
        "at the first audio and plays in real time; "
        f"{minimum.silence_s:.2f} s of it cannot be avoided. The earlier system, re-created from "
        "reports on it (bench/legacy_transports.py), waited 2 s after each `end` message, retried "
        "after 1 s and 2 s, and passed on the 20 ms of audio of a failed attempt, which count as "
        "its first audio here. Speech-to-text would add 2 s to each row.",
    )


def _plots(runs: Sequence[Run]) -> list[Plot]:
    shares = [f"{share:.0%}" for share in SHARES]
    minimum = minimum_of(runs[0].turns[0], FIRST_CHARS, 0.0)

    def series(column: int) -> list[Series]:
        return [Series(system.name, shares, _column(runs, system, column)) for system in SYSTEMS]

    return [
        Plot(
            "last",
            "Last audio of a response of four sentences",
            "TTS requests truncated",
            "seconds",
            series(5),
            kind="bars",
            reference=Reference("theoretical minimum", minimum.last_s),
        ),
        Plot(
            "silence",
            "Silence inside the response",
            "TTS requests truncated",
            "seconds",
            series(8),
            kind="bars",
            reference=Reference("theoretical minimum", minimum.silence_s),
        ),
    ]


def _column(runs: Sequence[Run], system: System, column: int) -> list[float]:
    return [float(each.cells()[column] or 0) for each in runs if each.system is system]
