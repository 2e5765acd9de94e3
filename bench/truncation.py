"""35 % of TTS requests truncated: how many sentences are whole, and the delay of the repair."""

import asyncio

from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FaultName, FaultSpec
from app.simulator.profiles import PROFILES, TimingField
from bench.harness import TimedTurn, caller, gateway, percentile, settings_for, take_turn
from bench.results import Cell, Result, Table

SENTENCES = 500
CALLERS = 4
SHARE = 0.35
QUICK: dict[TimingField, float] = {"realtime_factor": 80, "agent_token_ms": 1}
"""Everything but the provider's first audio is quick, so that 3,000 sentences take two minutes."""


async def run() -> Result:
    """Synthesize 500 sentences with and without 35 % of the TTS requests truncated."""
    first_audio_s = PROFILES["fast"].first_audio_ms / 1000
    rows: list[tuple[Cell, ...]] = []
    for transport in ("websocket", "rest", "auto"):
        clean = await _synthesize(transport, 0.0)  # one after the other: each fills a core
        faulty = await _synthesize(transport, SHARE)
        for share, (verdicts, waits_s) in ((0.0, clean), (SHARE, faulty)):
            added = percentile(waits_s, 0.95) - percentile(clean[1], 0.95)
            rows.append(
                (
                    transport,
                    f"{share:.0%}",
                    len(verdicts),
                    f"{100 * verdicts.count('whole') / len(verdicts):.2f} %",
                    verdicts.count("fragment"),
                    percentile(waits_s, 0.5),
                    percentile(waits_s, 0.95),
                    added / first_audio_s,
                )
            )
    table = Table(
        f"{SENTENCES} sentences with and without truncation",
        (
            "transport",
            "truncated",
            "sentences",
            "whole",
            "fragments",
            "first audio p50 s",
            "p95 s",
            "added at p95 / provider's first audio",
        ),
        rows,
        "Profile `fast`, with quicker audio and tokens. Truncated: share of the TTS requests. "
        "Fragments: sentences with some audio that is not whole. First audio is counted from the "
        "moment when the agent has written the first sentence. The last column compares the time "
        "that repair adds with the 60 ms that the provider's first audio takes.",
    )
    return Result("truncation", [table])


async def _synthesize(transport: str, share: float) -> tuple[list[str], list[float]]:
    """Return each sentence's verdict and each turn's wait for first audio, in seconds."""
    faults: dict[FaultName, FaultSpec] = {"truncated": FaultSpec(probability=share)}
    config = SimulatorConfig(profile="fast", voice="hum", faults=faults, seed=1, timing=QUICK)
    verdicts: list[str] = []
    waits_s: list[float] = []
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
                    waits_s.append(_wait_s(turn))

        await asyncio.gather(*(converse(number) for number in range(CALLERS)))
    return verdicts, waits_s


def _wait_s(turn: TimedTurn) -> float:
    """Return the time from the end of the first sentence in the agent's text to first audio."""
    metrics = turn.first("done")[1]["metrics"]
    return float(metrics["first_audio_ms"] - metrics["first_sentence_ms"]) / 1000
