"""A gateway as a process under attack: its log, its memory, its pulse, and a polite caller."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.harness import ToneAudio, caller, recorded_utterance, take_turn
from tests.logged_process import logged_process
from tests.processes import resident_bytes, tree
from tests.security import pulse
from tests.test_serve import SERVE

MiB = 1024 * 1024

MAX_RISE_BYTES = 200 * MiB
MAX_KEPT_BYTES = 60 * MiB
"""What an attack may take while it lasts, and what may be left of it 10 s after."""

MAX_PULSE_S = 2.0
"""Longest answer of `/healthz`, but for the time in which other processes had the processors. The
goal is 0.5 s: on a quiet machine all attacks stay below 0.25 s."""

STOP_S = 15.0
"""The drain (1 s here), the grace of a stop (8 s), and what a busy machine takes to end Python."""


@dataclass
class GatewayProcess:
    """`nabra serve`, with its log in a file."""

    process: asyncio.subprocess.Process
    log_path: Path
    url: str = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def endpoint(self) -> str:
        return self.url.replace("http", "ws") + "/ws/agent/"

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def resident_bytes(self) -> int:
        """Return what the gateway and the processes that it started hold."""
        return sum(map(resident_bytes, tree(self.process.pid)))

    async def stop(self) -> float:
        """Ask it to end as an operator does; return how long it took."""
        began_at = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            code = await self.process.wait()
        assert code == 0, self.log()
        return time.monotonic() - began_at


@asynccontextmanager
async def gateway_process(
    cwd: Path, settings: Mapping[str, str] | None = None, *, descriptors: int = 0
) -> AsyncIterator[GatewayProcess]:
    """Start a gateway, with so many files at most; end it however the test ends."""
    command = list(SERVE)
    if descriptors:
        command = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *SERVE]
    log_path = cwd / "log.txt"
    settings = {"DRAIN_S": "1", **(settings or {})}
    async with logged_process(log_path, settings, "Open ", command) as process:
        gateway = GatewayProcess(process, log_path)
        gateway.url = gateway.log().split("Open")[1].split()[0]
        yield gateway


@dataclass
class Watch:
    """Samples memory and pulse of a gateway."""

    gateway: GatewayProcess
    before_bytes: int = 0
    most_bytes: int = 0
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Watch"]:
        self.before_bytes = self.most_bytes = self.gateway.resident_bytes()
        asking = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            pulse.__file__,
            str(self.gateway.port),
            str(self.gateway.process.pid),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        sampling = asyncio.create_task(self._sample_memory())
        try:
            yield self
        finally:
            sampling.cancel()
            printed, _ = await asking.communicate(b"")
        longest_s, *self.failures = printed.decode().splitlines()
        self.slowest_s = float(longest_s)

    @property
    def rise_bytes(self) -> int:
        return self.most_bytes - self.before_bytes

    async def settled_bytes(self, enough_bytes: int, *, timeout_s: float) -> int:
        """Wait until no more than `enough_bytes` are kept, but no longer; return what is kept."""
        deadline = time.monotonic() + timeout_s
        while True:
            kept_bytes = self.gateway.resident_bytes() - self.before_bytes
            if kept_bytes < enough_bytes or time.monotonic() > deadline:
                return kept_bytes
            await asyncio.sleep(0.05)

    async def _sample_memory(self) -> None:
        while True:
            self.most_bytes = max(self.most_bytes, self.gateway.resident_bytes())
            await asyncio.sleep(0.05)


async def polite_turns(gateway: GatewayProcess, enough: asyncio.Event, *, least: int = 2) -> int:
    """Talk in one session, and open another each turn, until it is enough; nothing may be lost."""
    turns = 0
    async with caller(gateway.endpoint) as socket:
        while turns < least or not enough.is_set():
            async with caller(gateway.endpoint) as newcomer:
                await newcomer.recv()
            typed = turns % 2 == 0
            message = {"type": "text", "text": "أين شحنتي"} if typed else recorded_utterance()
            turn = await take_turn(socket, message)
            assert not turn.all("error"), turn.all("error")
            assert typed or turn.all("transcription")
            verdicts = turn.verdicts(ToneAudio())
            assert verdicts and set(verdicts) == {"whole"}, verdicts
            turns += 1
    return turns
