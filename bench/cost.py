"""CPU and allocations of a spoken and a typed turn, beside the baseline."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.load import SPEED, Framing, Kind, Relay, Transport, callers, provider, relay
from bench.results import Cell, Plot, Result, Series, Table
from bench.speakers import Input

SESSIONS = 50
AT_ONCE_TURNS, PACED_TURNS = 5, 2


@dataclass(frozen=True, slots=True)
class Load:
    """One way in which all sessions ask and are answered."""

    input: Input
    transport: Transport
    speed: float
    framing: Framing

    @property
    def pace(self) -> str:
        """How fast the provider sends audio."""
        return f"{self.speed:.0f} x" if self.speed else "at once"

    @property
    def turns(self) -> int:
        """Turns of each session."""
        return PACED_TURNS if self.speed else AT_ONCE_TURNS

    @property
    def keys(self) -> tuple[Cell, ...]:
        """The first cells of the row."""
        return self.input, self.transport, self.pace, self.framing


LOADS = (
    Load("wav", "websocket", SPEED, "binary"),
    Load("wav", "websocket", SPEED, "base64"),
    Load("wav", "websocket", 0.0, "binary"),
    Load("wav", "websocket", 0.0, "base64"),
    Load("webm", "websocket", SPEED, "binary"),
    Load("streamed", "websocket", SPEED, "binary"),
    Load("hands-free", "websocket", SPEED, "binary"),
    Load("wav", "rest", SPEED, "binary"),
    Load("typed", "websocket", SPEED, "binary"),
    Load("typed", "websocket", 0.0, "binary"),
    Load("typed", "rest", SPEED, "binary"),
)

KEYS = ("input", "transport", "pace", "framing")
NOTE = (
    f"{SESSIONS} sessions, default settings with a log at `info` into a file. Questions of three "
    "seconds, responses of two sentences (10.5 s of audio, 53 chunks, 20 tokens) that follow each "
    "other without a pause; all of a turn is included: STT, agent, events, and the processes that "
    "decode recordings. CPU per second of the response's audio. Input: `wav` and `webm` (Opus, as "
    "a browser records it) are recordings in base64; `streamed` is PCM16 in binary messages of 20 "
    "ms with an `audio_end`; `hands-free` is a microphone that is always open, with `server_vad`. "
    f"Pace: the provider sends audio {SPEED:.0f} times as fast as it plays, or all at once. "
    "Baseline: the same relay without Nabra's work, on bare libraries (bench/baseline.py), which "
    "makes the same calls of provider and agent; it passes a WAV on unread, and hands-free it "
    "takes digital silence for the pause. Ratio: Nabra's CPU divided by the baseline's. Both "
    "processes of a row were measured one right after the other."
)
ALLOCATIONS_NOTE = (
    "Counted in the same run, in the relay's own process. Objects that CPython takes from its free "
    "lists are not counted."
)


class Cost(NamedTuple):
    """The resources that a relay used."""

    cpu_ms: float
    calls: float | None
    """Allocations."""
    kilobytes: float | None
    audio_s: float
    turns: int
    incomplete: int
    """Responses of which the callers did not receive every byte."""

    @property
    def second_ms(self) -> float:
        """CPU per second of audio."""
        return self.cpu_ms / self.audio_s

    @property
    def turn_ms(self) -> float:
        """CPU per turn."""
        return self.cpu_ms / self.turns


@dataclass(frozen=True, slots=True)
class Comparison:
    """Gateway and baseline under one load."""

    load: Load
    baseline: Cost
    gateway: Cost

    @property
    def ratio(self) -> float:
        """CPU of the gateway divided by that of the baseline."""
        return self.gateway.second_ms / self.baseline.second_ms


async def run() -> Result:
    """Measure gateway and baseline under each load; loads of the same providers share processes."""
    providers = dict.fromkeys((load.transport, load.speed) for load in LOADS)
    measured: dict[Load, Comparison] = {}
    for transport, speed in providers:
        shared = [load for load in LOADS if (load.transport, load.speed) == (transport, speed)]
        measured |= {each.load: each for each in await _comparisons(transport, speed, shared)}
    compared = [measured[load] for load in LOADS]
    return Result("cost", [_cpu_table(compared), _allocation_table(compared)], [_plot(compared)])


def _cpu_table(compared: Sequence[Comparison]) -> Table:
    return Table(
        "CPU of the relay, milliseconds per second of audio",
        (*KEYS, "baseline", "Nabra", "ratio", "Nabra ms per turn", "responses incomplete"),
        [
            (
                *each.load.keys,
                each.baseline.second_ms,
                each.gateway.second_ms,
                each.ratio,
                each.gateway.turn_ms,
                each.gateway.incomplete,
            )
            for each in compared
        ],
        NOTE,
    )


def _allocation_table(compared: Sequence[Comparison]) -> Table:
    counts = ("per second of audio", "KB per second", "per turn")
    return Table(
        "Allocations of the relay's interpreter",
        (
            *KEYS,
            *(f"baseline {count}" for count in counts),
            *(f"Nabra {count}" for count in counts),
        ),
        [
            (*each.load.keys, *_allocations(each.baseline), *_allocations(each.gateway))
            for each in compared
        ],
        ALLOCATIONS_NOTE,
    )


def _label(load: Load) -> str:
    """Return the label of a load's bars; its lines are short, as nine of them stand in a row."""
    transport = "socket" if load.transport == "websocket" else load.transport
    return "\n".join((load.input.replace("-", "-\n"), transport, load.pace))


def _plot(compared: Sequence[Comparison]) -> Plot:
    """Draw CPU per second of audio of the rows in binary framing."""
    binary = [each for each in compared if each.load.framing == "binary"]
    labels = [_label(each.load) for each in binary]
    return Plot(
        "cost",
        "CPU per second of audio, binary framing",
        "",
        "ms",
        [
            Series("baseline", labels, [each.baseline.second_ms for each in binary]),
            Series("Nabra", labels, [each.gateway.second_ms for each in binary]),
        ],
        kind="bars",
    )


async def _comparisons(
    transport: Transport, speed: float, loads: Sequence[Load]
) -> list[Comparison]:
    """Measure one process of each relay under all loads, so that all start equally warm."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses = await stack.enter_async_context(provider(speed))
        kinds: tuple[Kind, ...] = ("baseline", "gateway")
        baseline, gateway = [
            await stack.enter_async_context(
                relay(kind, addresses, transport=transport, counters=directory / kind)
            )
            for kind in kinds
        ]
        compared: list[Comparison] = []
        for load in loads:
            if all(each.load.input != load.input for each in compared):
                await asyncio.gather(*(_warm_up(each, load) for each in (baseline, gateway)))
            costs = [await _cost(measured, load) for measured in (baseline, gateway)]
            compared.append(Comparison(load, *costs))
        return compared


async def _warm_up(measured: Relay, load: Load) -> None:
    """Open all connections, and run all code once."""
    group = callers(
        measured.url, SESSIONS, framing=load.framing, input=load.input, turns=1, name="warm"
    )
    async with group as warming:
        await warming.start()
        await warming.stats()


async def _cost(measured: Relay, load: Load) -> Cost:
    """Take the difference of the counters around the run; connecting is not part of it."""
    async with callers(
        measured.url, SESSIONS, framing=load.framing, input=load.input, turns=load.turns
    ) as group:
        cpu_s, counts = measured.cpu_s(), measured.allocations()
        await group.start()
        stats = await group.stats()
        used_s, now = measured.cpu_s() - cpu_s, measured.allocations()
    return Cost(
        used_s * 1000,
        None if now.calls is None else now.calls - (counts.calls or 0),
        None if now.bytes is None else (now.bytes - (counts.bytes or 0)) / 1024,
        stats.audio_s,
        stats.turns,
        stats.turns - stats.whole,
    )


def _allocations(cost: Cost) -> tuple[int | None, int | None, int | None]:
    """Return calls and KB per second of audio, and calls per turn."""
    if cost.calls is None or cost.kilobytes is None:
        return None, None, None
    return (
        round(cost.calls / cost.audio_s),
        round(cost.kilobytes / cost.audio_s),
        round(cost.calls / cost.turns),
    )
