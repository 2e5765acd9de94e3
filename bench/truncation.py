"""Every third answer truncated: how many sentences are whole, and what it costs in time."""

import asyncio

from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FaultName, FaultSpec
from app.simulator.profiles import PROFILES, TimingField
from bench.harness import TimedTurn, caller, gateway, percentile, settings_for, take_turn
from bench.results import Cell, Result, Table

SENTENCES = 500
CALLERS = 4
SHARE = 0.35
BRISK: dict[TimingField, float] = {"realtime_factor": 80, "agent_token_ms": 1}
"""All but the provider's first audio is quick, so that 3,000 sentences take a minute or two."""


async def run() -> Result:
    """500 sentences with 35 % of all requests truncated, beside the same without faults."""
    first_audio_s = PROFILES["fast"].first_audio_ms / 1000
    rows: list[tuple[Cell, ...]] = []
    for transport in ("websocket", "rest", "auto"):
        clean = await _speak(transport, 0.0)  # one after the other: each fills a core
        faulty = await _speak(transport, SHARE)
        for share, (verdicts, firsts) in ((0.0, clean), (SHARE, faulty)):
            added = percentile(firsts, 0.95) - percentile(clean[1], 0.95)
            rows.append(
                (
                    transport,
                    f"{share:.0%}",
                    len(verdicts),
                    f"{100 * verdicts.count('whole') / len(verdicts):.2f} %",
                    verdicts.count("fragment"),
                    percentile(firsts, 0.5),
                    percentile(firsts, 0.95),
                    added / first_audio_s,
                )
            )
    table = Table(
        f"{SENTENCES} sentences with and without every third answer truncated",
        (
            "transport",
            "truncated",
            "sentences",
            "whole",
            "fragments",
            "p50 s",
            "p95 s",
            "added at p95 / provider's first audio",
        ),
        rows,
        "Times are taken from the moment a turn's first sentence is written to its first audio.",
    )
    return Result("truncation", [table])


async def _speak(transport: str, share: float) -> tuple[list[str], list[float]]:
    faults: dict[FaultName, FaultSpec] = {"truncated": FaultSpec(probability=share)}
    config = SimulatorConfig(profile="fast", voice="hum", faults=faults, seed=1, timing=BRISK)
    verdicts: list[str] = []
    firsts: list[float] = []
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, TTS_TRANSPORT=transport)) as url,
    ):

        async def converse(number: int) -> None:
            async with caller(url) as socket:
                while len(verdicts) < SENTENCES:
                    text = f"سؤال رقم {len(verdicts)} من {number}"
                    turn = await take_turn(socket, {"type": "text", "text": text})
                    verdicts.extend(turn.verdicts(simulator))
                    firsts.append(_waited_s(turn))

        await asyncio.gather(*(converse(number) for number in range(CALLERS)))
    return verdicts, firsts


def _waited_s(turn: TimedTurn) -> float:
    """Return how long the first sentence took from its end in the agent's answer to its audio."""
    metrics = turn.first("done")[1]["metrics"]
    return float(metrics["first_audio_ms"] - metrics["first_sentence_ms"]) / 1000
