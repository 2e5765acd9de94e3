"""A gateway in a process of its own, and a caller that times every event."""

import asyncio
import base64
import json
import math
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
from websockets.asyncio.client import ClientConnection, connect

from app.simulator import Simulator
from app.simulator.child import SimulatorProcess
from app.simulator.tone_voice import ToneVoice
from app.text.tts_text import tts_text
from bench.speakers import Speaker
from bench.spoken_line import RECORDING

ROOT = Path(__file__).parent.parent
SERVE = "from app.serving.process import serve; serve()"

Event = dict[str, Any]


@asynccontextmanager
async def gateway(code: str = SERVE, **settings: str) -> AsyncIterator[str]:
    """Run a gateway process on a free port with these settings, and yield its endpoint's URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        cwd=ROOT,
        env={**os.environ, "PORT": "0", "LOG_LEVEL": "warning", **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = b""
        while not line.startswith(b"Open"):
            line = await process.stdout.readline()
            if not line:
                raise RuntimeError("the gateway did not start")
        yield line.split()[1].decode().replace("http", "ws") + "/ws/agent/"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def settings_for(simulator: Simulator | SimulatorProcess, **settings: str) -> dict[str, str]:
    """Return settings that point a gateway at a simulator, in this process or another."""
    urls = simulator.urls if isinstance(simulator, SimulatorProcess) else asdict(simulator.urls)
    return {
        "HAMSA_API_KEY": "bench",
        "HAMSA_WS_URL": urls["hamsa_ws_url"],
        "HAMSA_REST_URL": urls["hamsa_rest_url"],
        "HAMSA_REST_HTTP2": "prior_knowledge",
        "AGENT_WEBHOOK_URL": urls["agent_webhook_url"],
        "LOG_LEVEL": "error",
        **settings,
    }


async def scrape(url: str) -> dict[str, float]:
    """Read the gateway's `/metrics`; `url` is that of its endpoint."""
    address = url.replace("ws://", "http://").removesuffix("/ws/agent/") + "/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(address)).text
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


async def stats_of(simulator: SimulatorProcess) -> dict[str, Any]:
    """Read the totals of a simulator in another process."""
    async with httpx.AsyncClient(trust_env=False) as client:
        content = (await client.get(simulator.urls["control_url"])).json()
    stats: dict[str, Any] = content["stats"]
    return stats


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


class ExpectedAudio(Protocol):
    """Knows the whole audio of a sentence: a simulator, or `ToneAudio`."""

    def expected_audio(self, text: str) -> bytes:
        """Return the audio, byte for byte."""


class ToneAudio:
    """The audio of a simulator in another process that uses the tone voice."""

    def expected_audio(self, text: str) -> bytes:
        """Return the audio, byte for byte."""
        return ToneVoice().synthesize(tts_text(text))


@dataclass
class TimedTurn:
    """The events of one turn, each with its time in seconds since the turn was started."""

    events: list[tuple[float, Event]] = field(default_factory=list)

    def first(self, kind: str) -> tuple[float, Event]:
        """Return the first event of a kind. Raises `LookupError` when there is none."""
        for at, event in self.events:
            if event["type"] == kind:
                return at, event
        raise LookupError(f"no {kind} among {[event['type'] for _, event in self.events]}")

    def all(self, kind: str) -> list[Event]:
        """Return all events of a kind."""
        return [event for _, event in self.events if event["type"] == kind]

    def audio(self) -> dict[str, bytes]:
        """Return the received audio of each sentence, by its text."""
        received: dict[str, bytes] = {}
        text = ""
        for _, event in self.events:
            if event["type"] == "sentence":
                text = event["text"]
                received[text] = received.get(text, b"")
            elif event["type"] == "tts_chunk":
                received[text] += base64.b64decode(event["audio_base64"])
        return received

    def arrivals(self) -> Iterator[tuple[float, int]]:
        """Yield when each audio chunk arrived, and its size in bytes."""
        for at, event in self.events:
            if event["type"] == "tts_chunk":
                yield at, len(base64.b64decode(event["audio_base64"]))

    def verdicts(self, expected: ExpectedAudio) -> list[str]:
        """Judge each sentence: `whole`, `silent` (no audio), or `fragment` for anything else."""
        received = self.audio()
        verdicts = []
        for row in self.first("done")[1]["metrics"]["sentences"]:
            text = self._sentence(row["index"])
            audio = received.get(text, b"") if text else b""
            exact = text is not None and audio == expected.expected_audio(text)
            verdicts.append("whole" if exact else "fragment" if audio else "silent")
        return verdicts

    def _sentence(self, index: int) -> str | None:
        return next((e["text"] for e in self.all("sentence") if e["index"] == index), None)


class StaggeredStart:
    """Starts runs that are measured side by side, once the processes of all runs are up.

    They start `interval_s` seconds apart, so that they do not work in lockstep.
    """

    def __init__(self, runs: int, *, interval_s: float = 0.15) -> None:
        self._barrier = asyncio.Barrier(runs)
        self._interval_s = interval_s

    async def wait(self) -> None:
        """Wait until all runs have arrived, and then for this run's start."""
        place = await self._barrier.wait()
        await asyncio.sleep(place * self._interval_s)


@asynccontextmanager
async def caller(url: str) -> AsyncIterator[ClientConnection]:
    """Connect to the gateway as a client does."""
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        yield socket


async def take_turn(socket: ClientConnection, message: Event) -> TimedTurn:
    """Send a message, and collect events until the turn is done."""
    started_at = asyncio.get_running_loop().time()
    await socket.send(json.dumps(message))
    return await _collect(socket, started_at)


async def ask(socket: ClientConnection, speaker: Speaker) -> TimedTurn:
    """Ask in the speaker's way; times count from the end of the question."""
    loop = asyncio.get_running_loop()
    called_at = loop.time()
    await speaker.ask()
    turn = await _collect(socket, called_at)
    for event in turn.all("speech_stopped"):
        speaker.on_speech_stopped(event["audio_end_ms"])
    # `ended_at` is of the monotonic clock, which is the loop's
    late_s = speaker.ended_at - called_at
    return TimedTurn([(at - late_s, event) for at, event in turn.events])


async def _collect(socket: ClientConnection, started_at: float) -> TimedTurn:
    loop = asyncio.get_running_loop()
    turn = TimedTurn()
    async with asyncio.timeout(120):
        while not turn.events or turn.events[-1][1]["type"] != "done":
            event: Event = json.loads(await socket.recv())
            turn.events.append((loop.time() - started_at, event))
    return turn


def recorded_utterance() -> Event:
    """Return a recorded utterance as a client sends it."""
    return {"audio_base64": base64.b64encode(RECORDING.read_bytes()).decode()}
