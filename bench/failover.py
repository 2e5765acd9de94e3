"""A provider that refuses everything, and a second one behind it: who speaks, and how soon."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.simulator.child import SimulatorProcess
from bench.harness import (
    TimedTurn,
    ToneAudio,
    caller,
    gateway,
    percentile,
    settings_for,
    take_turn,
)
from bench.results import Cell, Result, Table

TURNS = 5

MAX_LENGTH_ERROR = 0.01
"""Share by which the length of resampled audio may differ from the audio before."""

FAULTS = {
    "key refused": "unauthorized",
    "account empty": "no_funds",
    "HTTP 503": "unavailable",
}
"""What Hamsa says to every request, handshakes included, and the simulator's fault for it."""


@dataclass
class Run:
    """The turns with one choice of transports under one fault."""

    name: str
    transports: dict[str, str]
    fault: str | None = None
    turns: list[TimedTurn] = field(default_factory=list)

    @property
    def sentences(self) -> list[dict[str, Any]]:
        """The metrics of all sentences."""
        return [row for turn in self.turns for row in turn.first("done")[1]["metrics"]["sentences"]]

    @property
    def first_audio_ms(self) -> list[float]:
        """For each turn: the request of its first sentence to the first audio."""
        return [_first_audio_ms(turn) for turn in self.turns]

    @property
    def failed(self) -> list[int]:
        """For each turn: the attempts at its first sentence that failed."""
        first = [turn.first("done")[1]["metrics"]["sentences"][0] for turn in self.turns]
        return [sum(each["fault"] is not None for each in row["attempt_log"]) for row in first]

    @property
    def whole(self) -> int:
        """How many responses are whole."""
        return sum(map(_is_whole, self.turns))


async def run() -> Result:
    """Measure each fault, and beside it each provider alone."""
    runs = [
        Run("Hamsa alone", {"TTS_TRANSPORT": "auto"}),
        Run("OpenAI alone", {"TTS_TRANSPORT": "openai"}),
    ]
    behind = {"TTS_TRANSPORT": "auto", "TTS_FALLBACK": "openai"}
    runs += [Run(f"OpenAI behind Hamsa: {name}", behind, fault) for name, fault in FAULTS.items()]
    await asyncio.gather(*map(_converse, runs))
    table = Table(
        "First audio of a response by a second provider, where the first one refuses everything",
        (
            "providers",
            "responses whole",
            "spoken by",
            "failed attempts before it, first turn",
            "most, later turns",
            "first audio, first turn ms",
            "later turns p50 ms",
            "OpenAI alone p50 ms",
        ),
        _rows(runs),
        f"Profile `measured`, {TURNS} typed turns. First audio is counted from the request of a "
        "response's first sentence; in this profile a new REST connection takes 1.6 s, which the "
        "refused attempt of the first turn waits for. Whole: every sentence has audio of its whole "
        "length; it is resampled, so its bytes differ from the simulator's.",
    )
    return Result("failover", [table])


def _rows(runs: Sequence[Run]) -> list[Sequence[Cell]]:
    alone = percentile(runs[1].first_audio_ms[1:], 0.5)
    return [
        (
            each.name,
            f"{each.whole} of {len(each.turns)}",
            ", ".join(sorted({row["transport"] for row in each.sentences})),
            each.failed[0],
            max(each.failed[1:]),
            round(each.first_audio_ms[0]),
            round(percentile(each.first_audio_ms[1:], 0.5)),
            round(alone) if each.fault else None,
        )
        for each in runs
    ]


async def _converse(run: Run) -> None:
    arguments = ["--profile=measured", "--voice=hum", "--seed=1"]
    async with SimulatorProcess(arguments) as simulator:
        if run.fault is not None:
            await _refuse_everything(simulator, run.fault)
        settings = settings_for(
            simulator,
            OPENAI_BASE_URL=simulator.urls["openai_base_url"],
            OPENAI_API_KEY="bench",
            **run.transports,
        )
        async with gateway(**settings) as url, caller(url) as socket:
            await asyncio.sleep(1)  # connections are opened ahead of the first caller
            for number in range(TURNS):
                question = {"type": "text", "text": f"سؤال {number}"}
                run.turns.append(await take_turn(socket, question))


async def _refuse_everything(simulator: SimulatorProcess, fault: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        patch = {"faults": {fault: {"channel": "hamsa"}}}
        response = await client.patch(simulator.urls["control_url"], json=patch)
        response.raise_for_status()


def _first_audio_ms(turn: TimedTurn) -> float:
    """Return how long the first sentence took from its first attempt to its first audio."""
    row = turn.first("done")[1]["metrics"]["sentences"][0]
    began_ms = min(each["started_ms"] for each in row["attempt_log"])
    return turn.first("tts_chunk")[0] * 1000 - float(began_ms)


def _is_whole(turn: TimedTurn) -> bool:
    """Return whether each sentence has audio of the length that it has at the provider."""
    expected = ToneAudio()
    return all(
        abs(len(audio) / len(expected.expected_audio(text)) - 1) < MAX_LENGTH_ERROR
        for text, audio in turn.audio().items()
    ) and not turn.all("error")
