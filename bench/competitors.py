"""What else one could take: Pipecat and LiveKit Agents before the same provider."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection

from app.audio import PCM16_16K
from app.simulator.child import SimulatorProcess
from app.simulator.tone_voice import ToneVoice
from app.simulator.transcripts import canned_response
from app.text.sentence_splitter import SentenceSplitter
from app.text.tts_text import tts_text
from bench.harness import caller, percentile
from bench.load import Relay, relay
from bench.results import ROOT, Cell, Result, Table

DIRECTORY = Path(__file__).parent / "competing"
PYTHON = ROOT / ".venv-competitors" / "bin" / "python"
"""The interpreter of their environment, which `make competitors` makes."""

QUESTION = "أين شحنتي؟"
SESSIONS, TURNS = 10, 3
SHARES = (0.0, 0.25)
"""Shares of the TTS requests that the provider truncates."""

QUIET_S = 2.0
"""A turn is over when nothing has come for so long: Pipecat sends no `done`."""

WHOLE_SHARE = 0.97
"""Share of the audio from which a response counts as whole. Systems cut sentences in different
places, and a pause between two differs by less; one truncated sentence of three misses far more."""

SENTENCES = 40

NOTE = (
    f"{SESSIONS} sessions ask by text at the same time, {TURNS} turns each after one warm-up turn; "
    "simulator's profile `fast`, default settings. Pipecat: its FastAPI WebSocket transport, TTS "
    "over HTTP, sentences cut by Pipecat, uvloop and a log at INFO (bench/competing/pipecat_app.py)"
    ". It sends audio twice as fast as it plays, and Nabra as fast as the provider. Truncated: "
    "share of the TTS requests. First audio is counted from the question; where the provider "
    "truncates, that of Pipecat may be the 20 ms of a truncated sentence. CPU and resident memory "
    f"of the whole process, the latter with {SESSIONS} sessions. Whole: at least {WHOLE_SHARE:.0%} "
    "of the response's audio was received."
)
LIVEKIT_NOTE = (
    f"{SENTENCES} sentences, one after another, by `FallbackAdapter` over two TTS instances "
    "(bench/competing/livekit_speech.py). Whole: as above. The adapter changes to the other "
    "instance when a request fails or sends nothing; a truncated one does neither."
)


@dataclass(slots=True)
class Run:
    """One system at one share of truncated requests."""

    first_s: list[float] = field(default_factory=list)
    audio_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    resident_kb: float = 0.0

    def cells(self, expected_s: float) -> tuple[Cell, ...]:
        """Return the last cells of the row."""
        whole = sum(each >= WHOLE_SHARE * expected_s for each in self.audio_s)
        return (
            percentile(self.first_s, 0.5),
            percentile(self.first_s, 0.95),
            1000 * self.cpu_s / sum(self.audio_s),
            round(self.resident_kb / 1024),
            f"{whole} of {len(self.audio_s)}",
        )


async def run() -> Result:
    """Measure all systems, one after the other. Raises `RuntimeError` without their environment."""
    if not PYTHON.exists():
        raise RuntimeError("Pipecat and LiveKit Agents are not installed; run: make competitors")
    versions = await _versions()
    expected_s = _audio_s(canned_response(QUESTION))
    rows: list[tuple[Cell, ...]] = []
    for share in SHARES:
        for name in ("Nabra", f"Pipecat {versions['pipecat-ai']}"):
            async with _simulator(share) as simulator, _system(name, simulator) as measured:
                found = await _measure(measured)
            rows.append((name, f"{share:.0%}", *found.cells(expected_s)))
    livekit = f"LiveKit Agents {versions['livekit-agents']}"
    fallback = [(livekit, f"{share:.0%}", *await _livekit_cells(share)) for share in SHARES]
    return Result("competitors", _tables(rows, fallback))


def _tables(
    rows: Sequence[Sequence[Cell]], fallback: Sequence[Sequence[Cell]]
) -> tuple[Table, ...]:
    first = ("system", "truncated", "first audio p50 s", "p95 s")
    return (
        Table(
            "Typed turns before the same provider and agent",
            (*first, "CPU ms per second of audio", "memory MB", "responses whole"),
            rows,
            NOTE,
        ),
        Table("TTS with a fallback", (*first, "sentences whole"), fallback, LIVEKIT_NOTE),
    )


@asynccontextmanager
async def _simulator(share: float) -> AsyncIterator[SimulatorProcess]:
    faults = [f"--fault=truncated={share}"] if share else []
    arguments = ["--profile=fast", "--voice=hum", "--seed=1", *faults]
    async with SimulatorProcess(arguments) as simulator:
        yield simulator


def _addresses(simulator: SimulatorProcess) -> dict[str, str]:
    names = ("hamsa_ws_url", "hamsa_rest_url", "agent_webhook_url")
    return {name.upper(): simulator.urls[name] for name in names} | {"HAMSA_API_KEY": "bench"}


@asynccontextmanager
async def _system(name: str, simulator: SimulatorProcess) -> AsyncIterator[Relay]:
    """Start a system, and stop it."""
    if name == "Nabra":
        async with relay("gateway", _addresses(simulator)) as gateway:
            yield gateway
        return
    process = await _start("pipecat_app", _addresses(simulator))
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line.startswith(b"Open"):
            raise RuntimeError("Pipecat did not start")
        url = line.split()[1].decode().replace("http", "ws") + "/ws/agent/"
        yield Relay(process.pid, url, None)
    finally:
        process.kill()
        await process.wait()


async def _start(
    module: str, addresses: dict[str, str], *arguments: str
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        PYTHON,
        DIRECTORY / f"{module}.py",
        *arguments,
        cwd=ROOT,
        env={**os.environ, **addresses, "LOGURU_LEVEL": "INFO"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _measure(measured: Relay) -> Run:
    """Let all sessions ask at the same time."""
    found, warm = Run(), asyncio.Barrier(SESSIONS + 1)

    async def converse(number: int) -> None:
        async with caller(f"{measured.url}caller-{number}/") as socket:
            await socket.send('{"type":"configure","output":{"framing":"binary"}}')
            await _turn(socket)
            await warm.wait()
            for _ in range(TURNS):
                first_s, audio_s = await _turn(socket)
                found.first_s.append(first_s)
                found.audio_s.append(audio_s)
            found.resident_kb = max(found.resident_kb, measured.resident_kb())

    async with asyncio.TaskGroup() as tasks:
        for number in range(SESSIONS):
            tasks.create_task(converse(number))
        await warm.wait()
        cpu_s = measured.cpu_s()
    found.cpu_s = measured.cpu_s() - cpu_s
    return found


async def _turn(socket: ClientConnection) -> tuple[float, float]:
    """Ask; return when the first audio came, and how long all of it plays, in seconds."""
    asked_at, first_s, received = time.monotonic(), 0.0, 0
    await socket.send(json.dumps({"type": "text", "text": QUESTION}))
    while True:
        try:
            async with asyncio.timeout(QUIET_S):
                message = await socket.recv()
        except TimeoutError:
            return first_s, PCM16_16K.duration_ms(received) / 1000
        if isinstance(message, bytes):
            first_s = first_s or time.monotonic() - asked_at
            received += len(message)


async def _livekit_cells(share: float) -> tuple[Cell, ...]:
    """Synthesize the sentences of a response again and again."""
    splitter = SentenceSplitter()
    sentences = [*splitter.feed(canned_response(QUESTION)), *splitter.flush()]
    texts = [tts_text(sentences[number % len(sentences)]) for number in range(SENTENCES)]
    async with _simulator(share) as simulator:
        process = await _start("livekit_speech", _addresses(simulator), *texts)
        output, _ = await process.communicate()
    spoken: list[tuple[float, float]] = json.loads(output)
    pairs = zip(texts, spoken, strict=True)
    whole = sum(audio_s >= WHOLE_SHARE * _audio_s(text) for text, (_, audio_s) in pairs)
    first_s = [first_s for first_s, _ in spoken]
    shares = (percentile(first_s, 0.5), percentile(first_s, 0.95))
    return (*shares, f"{whole} of {len(spoken)}")


async def _versions() -> dict[str, str]:
    names = ("pipecat-ai", "livekit-agents")
    code = (
        f"import json, importlib.metadata as m; print(json.dumps([m.version(n) for n in {names}]))"
    )
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return dict(zip(names, json.loads(output), strict=True))


def _audio_s(text: str) -> float:
    """Return how long the simulator's audio of a text plays."""
    return PCM16_16K.duration_ms(len(ToneVoice().synthesize(tts_text(text)))) / 1000
