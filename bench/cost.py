"""CPU and allocations per second of audio and per turn, beside the baseline."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.load import SPEED, Framing, Kind, Relay, Transport, callers, provider, relay
from bench.results import Cell, Plot, Reference, Result, Series, Table

SESSIONS = 50
FRAMINGS: tuple[Framing, ...] = ("binary", "base64")
AT_ONCE_TURNS, PACED_TURNS = 5, 2
AGENT_CLIENTS = ("httpx", "aiohttp")
"""The two baselines, by the client that asks the agent."""

LOADS: tuple[tuple[Transport, float, int], ...] = (
    ("websocket", SPEED, PACED_TURNS),
    ("websocket", 0.0, AT_ONCE_TURNS),
    ("rest", SPEED, PACED_TURNS),
)

KEYS = ("transport", "pace", "framing")
NOTE = (
    f"{SESSIONS} sessions with responses of two sentences (10.5 s of audio, 53 chunks, 20 tokens) "
    "that follow each other without a pause; the CPU for agent, tokens and events is included. "
    f"Pace: the provider sends audio {SPEED:.0f} times as fast as it plays, or all at once. "
    "Baseline: the same relay without Nabra's work, on bare libraries (bench/baseline.py). One "
    "baseline asks the agent with httpx, the better known client, the other with aiohttp, which "
    "costs a fraction. Ratio: Nabra's CPU divided by that of the baseline."
)
ALLOCATIONS_NOTE = (
    "Counted in the same run. Objects that CPython takes from its free lists are not counted. "
    "Baseline: the one with aiohttp."
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
    """Gateway and baselines under one load, in one framing."""

    transport: Transport
    pace: str
    framing: Framing
    gateway: Cost
    baselines: Sequence[Cost]
    """In the order of `AGENT_CLIENTS`."""

    @property
    def ratios(self) -> list[float]:
        """CPU of the gateway divided by that of each baseline."""
        return [self.gateway.second_ms / each.second_ms for each in self.baselines]

    @property
    def keys(self) -> tuple[Cell, ...]:
        """The first cells of the row."""
        return self.transport, self.pace, self.framing


async def run() -> Result:
    """Measure gateway and baselines over both transports, in both framings, at both paces."""
    compared: list[Comparison] = []
    for transport, speed, turns in LOADS:
        pace = f"{speed:.0f} x" if speed else "at once"
        baselines = [
            await _costs("baseline", transport, speed, turns, client) for client in AGENT_CLIENTS
        ]
        gateway = await _costs("gateway", transport, speed, turns)
        compared += (
            Comparison(
                transport, pace, framing, gateway[framing], [each[framing] for each in baselines]
            )
            for framing in FRAMINGS
        )
    return Result("cost", [_cpu_table(compared), _allocation_table(compared)], [_plot(compared)])


def _cpu_table(compared: Sequence[Comparison]) -> Table:
    return Table(
        "CPU of the relay process, milliseconds per second of audio",
        (
            *KEYS,
            *(f"baseline, {client}" for client in AGENT_CLIENTS),
            "Nabra",
            *(f"ratio, {client}" for client in AGENT_CLIENTS),
            "Nabra ms per turn",
            "responses incomplete",
        ),
        [
            (
                *each.keys,
                *(baseline.second_ms for baseline in each.baselines),
                each.gateway.second_ms,
                *each.ratios,
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
            (*each.keys, *_allocations(each.baselines[-1]), *_allocations(each.gateway))
            for each in compared
        ],
        ALLOCATIONS_NOTE,
    )


def _plot(compared: Sequence[Comparison]) -> Plot:
    """Draw the ratios; a group of bars for each transport and pace."""
    labels = list(dict.fromkeys(f"{each.transport}, {each.pace}" for each in compared))
    return Plot(
        "cost",
        "CPU per second of audio, as a multiple of the baseline",
        "transport and pace",
        "ratio",
        [
            Series(
                f"{framing}, baseline with {client}",
                labels,
                [each.ratios[number] for each in compared if each.framing == framing],
            )
            for framing in FRAMINGS
            for number, client in enumerate(AGENT_CLIENTS)
        ],
        kind="bars",
        reference=Reference("baseline", 1.0),
    )


async def _costs(
    kind: Kind, transport: Transport, speed: float, turns: int, client: str = "aiohttp"
) -> dict[Framing, Cost]:
    """Measure one relay process in both framings, so that both start equally warm."""
    with tempfile.TemporaryDirectory() as directory:
        counters = Path(directory) / "counters"
        async with (
            provider(speed) as addresses,
            relay(
                kind, addresses, transport=transport, counters=counters, BASELINE_AGENT=client
            ) as measured,
        ):
            await _warm_up(measured)
            return {framing: await _cost(measured, framing, turns) for framing in FRAMINGS}


async def _warm_up(measured: Relay) -> None:
    """Open all connections, and run all code once."""
    async with callers(
        measured.url, SESSIONS, framing="base64", turns=1, question="short", name="warm"
    ) as group:
        await group.start()
        await group.stats()


async def _cost(measured: Relay, framing: Framing, turns: int) -> Cost:
    """Take the difference of the counters around the run; connecting is not part of it."""
    async with callers(measured.url, SESSIONS, framing=framing, turns=turns) as group:
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
