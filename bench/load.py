"""Load: a relay, a provider and callers, each in a process of its own, so each is measured alone.

A caller asks again and again, typed or spoken. Each response has two sentences, ten seconds of
speech. The provider sends five chunks per second of audio, three times as fast as it plays.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from bench.allocations import Counts, counts_in
from bench.speakers import Input

ROOT = Path(__file__).parent.parent

FIRST_AUDIO_S = 0.1
"""From a TTS request to its first audio."""

SPEED = 3.0
"""How many times as fast as it plays the audio is sent, as measured at the real provider."""

STT_S = 0.1
"""From an STT request to its transcript."""

FIRST_TOKEN_S, TOKEN_S = 0.05, 0.01
"""From the question to the agent's first token, and between two tokens."""

BYTES_PER_CHAR = 3_200
BYTES_PER_S = 32_000

SENTENCES = (
    "رصيد إجازاتك السنوية واحد وعشرون يوما حتى نهاية العام.",
    "يمكنك تقديم الطلب من صفحة الموظف في النظام متى شئت.",
)
RESPONSES = {"two": " ".join(SENTENCES), "short": "لا."}
"""The agent's responses, by question."""

AUDIO_BYTES = {
    question: sum(
        len(sentence) * BYTES_PER_CHAR // 250 * 250
        for sentence in (SENTENCES if question == "two" else (response,))
    )
    for question, response in RESPONSES.items()
}
"""Audio of each response when nothing is lost."""

Framing = Literal["base64", "binary"]
Transport = Literal["websocket", "rest"]
Loop = Literal["uvloop", "asyncio"]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


Kind = Literal["gateway", "baseline"]


@dataclass(frozen=True, slots=True)
class Relay:
    """A running gateway, or the baseline."""

    pid: int
    url: str
    counters: Path | None

    def cpu_s(self) -> float:
        """Return the CPU time so far, with all threads and the kernel's part.

        Processes that it started, as those that decode recordings, count as well.
        """
        return cpu_s(self.pid)

    def resident_kb(self) -> float:
        """Return the resident memory of the process."""
        statm = Path(f"/proc/{self.pid}/statm").read_text(encoding="utf-8")
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024

    def allocations(self) -> Counts:
        """Return the allocations of its interpreter since it started."""
        return counts_in(self.counters)


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of all that descend from it, also of those that ended.

    In `/proc/PID/stat` (proc(5)), field 4 is the parent, and 14 to 17 are the ticks of the process
    and of its children that have ended, in user mode and in the kernel's.
    """
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended; its parent has its ticks
        each = int(path.parent.name)
        parents[each] = int(fields[1])
        ticks[each] = sum(int(field) for field in fields[11:15])
    family = {pid}
    while more := {each for each, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks[each] for each in family) / TICKS_PER_S


@asynccontextmanager
async def provider(speed: float = SPEED, transcript: str = "two") -> AsyncIterator[dict[str, str]]:
    """Start a provider and yield the settings that point to it.

    Speed 0 sends audio at once. The transcript of each utterance is `transcript`, a question.
    """
    async with _process("bench.provider", str(speed), transcript) as process:
        assert process.stdout is not None
        addresses: dict[str, str] = json.loads(await process.stdout.readline())
        yield addresses


@asynccontextmanager
async def relay(
    kind: Kind,
    addresses: dict[str, str],
    *,
    transport: Transport = "websocket",
    loop: Loop = "uvloop",
    counters: Path | None = None,
    **settings: str,
) -> AsyncIterator[Relay]:
    """Start a relay at default settings, apart from what the provider of `bench.load` needs.

    It logs into a file, as for an operator. It counts its allocations into the file `counters`, if
    given.
    """
    environment = {
        **addresses,
        "HAMSA_API_KEY": "bench",
        "HAMSA_REST_HTTP2": "prior_knowledge",
        "HAMSA_CONNECT_LIMIT": "100",  # this provider does not throttle; all sessions start at once
        "HAMSA_CONNECT_WINDOW_S": "0.1",
        "HAMSA_MAX_CONNECTIONS": "1000",
        "TTS_TRANSPORT": transport,
        "STT_TRANSPORT": transport,
        "PORT": "0",
        "BENCH_COUNTERS": str(counters or ""),
        **settings,
    }
    with tempfile.TemporaryFile() as log:
        async with _process(
            "bench.launch", kind, loop, settings=environment, stderr=log
        ) as process:
            assert process.stdout is not None
            line = b""
            while not line.startswith(b"Open"):
                line = await process.stdout.readline()
                if not line:
                    log.seek(0)
                    raise RuntimeError(f"the {kind} did not start: {log.read().decode()}")
            url = line.split()[1].decode().replace("http", "ws") + "/ws/agent/"
            yield Relay(process.pid, url, counters)


@dataclass(slots=True)
class CallerStats:
    """What all callers of one process received."""

    overheads_ms: list[float] = field(default_factory=list)
    """For each turn: from first audio leaving the provider to first audio at the caller."""
    waits_ms: list[float] = field(default_factory=list)
    """For each turn: from the end of the question to first audio at the caller."""
    turns: int = 0
    whole: int = 0
    """Turns of which every byte was received."""
    audio_bytes: int = 0

    @property
    def audio_s(self) -> float:
        """How long the received audio plays."""
        return self.audio_bytes / BYTES_PER_S


class Callers:
    """A process of callers that are connected and wait for `start`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def start(self) -> None:
        """Let the callers ask their questions."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        await self._process.stdin.drain()

    async def stats(self) -> CallerStats:
        """Wait until all callers have finished, and return what they received."""
        assert self._process.stdout is not None
        return CallerStats(**json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def callers(
    url: str,
    sessions: int,
    *,
    framing: Framing,
    input: Input = "typed",
    turns: int = 1000,
    for_s: float = 60.0,
    question: str = "two",
    wait_for_playback: bool = False,
    name: str = "caller",
) -> AsyncIterator[Callers]:
    """Connect callers that ask at most `turns` times each, and not after `for_s` seconds.

    Typed, they ask `question`; spoken, it is what the provider transcribes.

    With `wait_for_playback` a caller asks again when the audio has been played to its end: such a
    session is always speaking. Otherwise it asks again when the audio has been received. The
    callers start spread over the length of a response.
    """
    plan = {
        "url": url,
        "sessions": sessions,
        "framing": framing,
        "input": input,
        "turns": turns,
        "for_s": for_s,
        "question": question,
        "wait_for_playback": wait_for_playback,
        "name": name,
    }
    async with _process("bench.callers", json.dumps(plan)) as process:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the callers could not connect")
        yield Callers(process)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of the line that fits best (least squares)."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return over / sum((a - mean_x) ** 2 for a in x)


@asynccontextmanager
async def _process(
    *arguments: str, settings: dict[str, str] | None = None, stderr: IO[bytes] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module in a process; the limit bounds a line of its output, the callers' stats."""
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=ROOT,
            env={**os.environ, **(settings or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=16 * 1024 * 1024,
        )
        stack.push_async_callback(_stop, process)
        yield process


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(8):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
