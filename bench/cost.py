"""CPU and allocations of a second of audio and of a turn, beside the floor, in one run."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.load import SPEED, Framing, Kind, Relay, Way, callers, provider, relay
from bench.results import Cell, Plot, Result, Series, Table

SESSIONS = 50
FRAMINGS: tuple[Framing, ...] = ("binary", "base64")
AT_ONCE_TURNS, PACED_TURNS = 5, 2
FLOORS = ("httpx", "aiohttp")
LOADS: tuple[tuple[Way, float, int], ...] = (
    ("websocket", SPEED, PACED_TURNS),
    ("websocket", 0.0, AT_ONCE_TURNS),
    ("rest", SPEED, PACED_TURNS),
)

NOTE = (
    f"{SESSIONS} sessions, answers of two sentences (10.5 s of audio, 53 chunks, 20 tokens) that "
    "follow each other without a pause; agent, tokens and events included. The provider makes "
    f"speech {SPEED:.0f} times as fast as it plays, or all at once. The floors ask the same "
    "provider with bare libraries and check nothing (bench/baseline.py); one asks the agent by "
    "httpx, the usual client, one by aiohttp, which costs a fraction and is Nabra's."
)


class Cost(NamedTuple):
    """What a relay spent."""

    cpu_ms: float
    calls: float | None
    """Allocations."""
    kilobytes: float | None
    audio_s: float
    turns: int
    lost: int
    """Answers that were not heard whole."""

    @property
    def second_ms(self) -> float:
        """CPU of a second of audio."""
        return self.cpu_ms / self.audio_s

    @property
    def turn_ms(self) -> float:
        """CPU of a turn."""
        return self.cpu_ms / self.turns


async def run() -> Result:
    """Weigh gateway and floors, on both ways, in both framings, at both paces."""
    rows: list[tuple[Cell, ...]] = []
    allocated: list[tuple[Cell, ...]] = []
    ratios: dict[tuple[str, str], list[float]] = {}
    labels = []
    for way, speed, turns in LOADS:
        pace = f"{speed:.0f} x" if speed else "at once"
        labels.append(f"{way}, {pace}")
        floors = {agent: await _costs("floor", way, speed, turns, agent) for agent in FLOORS}
        gateway = await _costs("gateway", way, speed, turns)
        for framing in FRAMINGS:
            ours = gateway[framing]
            lows = [floors[agent][framing] for agent in FLOORS]
            beside = [ours.second_ms / low.second_ms for low in lows]
            for agent, ratio in zip(FLOORS, beside, strict=True):
                ratios.setdefault((framing, agent), []).append(ratio)
            seconds = (*(low.second_ms for low in lows), ours.second_ms)
            rows.append((way, pace, framing, *seconds, *beside, ours.turn_ms, ours.lost))
            allocated.append((way, pace, framing, *_allocations(lows[-1]), *_allocations(ours)))
    columns = ("provider", "pace", "framing")
    return Result(
        "cost",
        [
            Table(
                "CPU milliseconds of the relay's process for a second of audio",
                (
                    *columns,
                    *(f"floor, {agent}" for agent in FLOORS),
                    "Nabra",
                    *(f"ratio, {agent}" for agent in FLOORS),
                    "Nabra a turn",
                    "answers lost",
                ),
                rows,
                NOTE,
            ),
            Table(
                "Allocations of the relay's interpreter",
                (*columns, "floor a second", "KB", "a turn", "Nabra a second", "KB", "a turn"),
                allocated,
                "Counted in the same run; objects from free lists are not seen. The floor is that "
                "by aiohttp.",
            ),
        ],
        [
            Plot(
                "cost",
                "CPU of a second of audio, as a multiple of the floor",
                "provider",
                "ratio",
                [
                    Series(f"{framing}, floor by {agent}", labels, values)
                    for (framing, agent), values in ratios.items()
                ],
                kind="bars",
                floor=1.0,
            )
        ],
    )


async def _costs(
    kind: Kind, way: Way, speed: float, turns: int, agent: str = "aiohttp"
) -> dict[Framing, Cost]:
    with tempfile.TemporaryDirectory() as directory:
        counters = Path(directory) / "counters"
        async with (
            provider(speed) as addresses,
            relay(kind, addresses, way=way, counters=counters, FLOOR_AGENT=agent) as weighed,
        ):
            await _warm_up(weighed)
            return {framing: await _cost(weighed, framing, turns) for framing in FRAMINGS}


async def _warm_up(weighed: Relay) -> None:
    """Have all connections opened, and all code run once."""
    async with callers(
        weighed.url, SESSIONS, framing="base64", turns=1, question="short", name="warm"
    ) as group:
        await group.begin()
        await group.heard()


async def _cost(weighed: Relay, framing: Framing, turns: int) -> Cost:
    async with callers(weighed.url, SESSIONS, framing=framing, turns=turns) as group:
        cpu_s, counts = weighed.cpu_s(), weighed.allocations()
        await group.begin()
        heard = await group.heard()
        used_s, now = weighed.cpu_s() - cpu_s, weighed.allocations()
    return Cost(
        used_s * 1000,
        None if now.calls is None else now.calls - (counts.calls or 0),
        None if now.bytes is None else (now.bytes - (counts.bytes or 0)) / 1024,
        heard.audio_s,
        heard.turns,
        heard.turns - heard.whole,
    )


def _allocations(cost: Cost) -> tuple[int | None, int | None, int | None]:
    """Return calls and KB a second of audio, and calls a turn."""
    if cost.calls is None or cost.kilobytes is None:
        return None, None, None
    return (
        round(cost.calls / cost.audio_s),
        round(cost.kilobytes / cost.audio_s),
        round(cost.calls / cost.turns),
    )
