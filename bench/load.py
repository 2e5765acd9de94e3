"""Load: a relay, a provider and callers, each a process of its own, so that each can be weighed.

A caller asks again and again and hears an answer of two sentences, ten seconds of speech, which
the provider makes three times as fast as it plays, in five chunks a second of audio.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.allocations import Counts, counts_in

ROOT = Path(__file__).parent.parent

FIRST_AUDIO_S = 0.1
"""When the audio of a sentence begins, after its request."""

SPEED = 3.0
"""How many times faster than it plays it is made, by the real provider as by this one."""

FIRST_TOKEN_S, TOKEN_S = 0.05, 0.01
"""When an answer begins, and the time between two words."""

BYTES_PER_CHAR = 3_200
BYTES_PER_S = 32_000

SENTENCES = (
    "رصيد إجازاتك السنوية واحد وعشرون يوما حتى نهاية العام.",
    "يمكنك تقديم الطلب من صفحة الموظف في النظام متى شئت.",
)
ANSWERS = {"two": " ".join(SENTENCES), "short": "لا."}
"""Answers by question."""

AUDIO_BYTES = {
    question: sum(
        len(sentence) * BYTES_PER_CHAR // 250 * 250
        for sentence in (SENTENCES if question == "two" else (answer,))
    )
    for question, answer in ANSWERS.items()
}
"""What is heard of each when nothing is lost."""

Framing = Literal["base64", "binary"]
Way = Literal["websocket", "rest"]
Loop = Literal["uvloop", "asyncio"]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


Kind = Literal["gateway", "floor"]


@dataclass(frozen=True, slots=True)
class Relay:
    """A gateway, or the floor."""

    pid: int
    url: str
    counters: Path | None

    def cpu_s(self) -> float:
        """Return the CPU time that the process has used, its threads and its kernel's included."""
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def resident_kb(self) -> float:
        """Return how much memory it holds."""
        return int(self._read("statm").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024

    def allocations(self) -> Counts:
        """Return what its interpreter has allocated since it started."""
        return counts_in(self.counters)

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text(encoding="utf-8")


@asynccontextmanager
async def provider(speed: float = SPEED) -> AsyncIterator[dict[str, str]]:
    """Start a provider; gives the settings that lead there. Speed 0 is all at once."""
    async with _process("bench.provider", str(speed)) as process:
        assert process.stdout is not None
        addresses: dict[str, str] = json.loads(await process.stdout.readline())
        yield addresses


@asynccontextmanager
async def relay(
    kind: Kind,
    addresses: dict[str, str],
    *,
    way: Way = "websocket",
    loop: Loop = "uvloop",
    counters: Path | None = None,
    **settings: str,
) -> AsyncIterator[Relay]:
    """Start a relay. With `counters` (a file) it counts its allocations."""
    environment = {
        **addresses,
        "HAMSA_API_KEY": "bench",
        "HAMSA_REST_HTTP2": "prior_knowledge",
        "HAMSA_CONNECT_LIMIT": "100",  # this provider bears it, and all shall speak at once
        "HAMSA_CONNECT_WINDOW_S": "0.1",
        "HAMSA_MAX_CONNECTIONS": "1000",
        "TTS_TRANSPORT": way,
        "TTS_FALLBACK": "none",
        "LOG_LEVEL": "error",
        "FLOOR_AGENT": "aiohttp",
        "PORT": "0",
        "BENCH_COUNTERS": str(counters or ""),
        **settings,
    }
    async with _process("bench.launch", kind, loop, settings=environment) as process:
        assert process.stdout is not None
        line = b""
        while not line.startswith(b"Open"):
            line = await process.stdout.readline()
            if not line:
                raise RuntimeError(f"the {kind} did not start")
        url = line.split()[1].decode().replace("http", "ws") + "/ws/agent/"
        yield Relay(process.pid, url, counters)


@dataclass(frozen=True, slots=True)
class Heard:
    """What callers heard."""

    overheads_ms: list[float]
    """Of each turn: first audio left the provider to it reached the caller."""
    turns: int
    whole: int
    """Turns of which every byte was heard."""
    audio_s: float


class Callers:
    """A process of callers who are connected and wait to begin."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self) -> None:
        """Let them ask."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        await self._process.stdin.drain()

    async def heard(self) -> Heard:
        """Wait until they have heard all answers."""
        assert self._process.stdout is not None
        return Heard(**json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def callers(
    url: str,
    sessions: int,
    *,
    framing: Framing,
    turns: int = 1000,
    for_s: float = 60.0,
    question: str = "two",
    listening: bool = False,
    name: str = "caller",
) -> AsyncIterator[Callers]:
    """Connect callers who ask at most `turns` times each, the last time before `for_s` are over.

    If they are `listening` they hear an answer to its end before they ask again: in such a session
    the agent always speaks. They begin spread over the length of an answer.
    """
    plan = {
        "url": url,
        "sessions": sessions,
        "framing": framing,
        "turns": turns,
        "for_s": for_s,
        "question": question,
        "listening": listening,
        "name": name,
    }
    async with _process("bench.callers", json.dumps(plan)) as process:
        assert process.stdout is not None
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the callers could not connect")
        yield Callers(process)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of the straight line that fits best."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return over / sum((a - mean_x) ** 2 for a in x)


@asynccontextmanager
async def _process(
    *arguments: str, settings: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=ROOT,
            env={**os.environ, **(settings or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=16 * 1024 * 1024,
        )
        stack.push_async_callback(_end, process)
        yield process


async def _end(process: asyncio.subprocess.Process) -> Any:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(8):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
