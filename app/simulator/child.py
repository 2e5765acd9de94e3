"""SimulatorProcess: the simulator as a child process, which never outlives its parent."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

START_TIMEOUT_S = 20.0
"""Longest wait until the child listens; it takes under a second on an idle machine."""

RELAY_TIMEOUT_S = 1.0
"""Longest wait for the last words of a child that has ended: what it started may live on."""

FIRST_RESTART_AFTER_S = 0.1
MAX_RESTART_AFTER_S = 5.0
"""The wait before a restart doubles with each that fails, from the first to the second."""

_PASSED_ON = (
    *("PATH", "TZ", "TMPDIR", "LANG", "LANGUAGE", "SYSTEMROOT"),
    *("LD_LIBRARY_PATH", "ESPEAK_DATA_PATH"),
)
_PASSED_ON_PREFIXES = ("LC_", "PYTHON")

_log = logging.getLogger(__name__)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the child gets of an environment: no setting and no secret of the gateway.

    Its modules are those of this process, whatever the working directory holds.
    """
    passed_on = {
        name: value
        for name, value in environment.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return {**passed_on, "PYTHONPATH": str(Path(__file__).parents[2])}


class SimulatorProcess:
    """Run `python -m app.simulator` while the context lasts.

    The child reads its standard input, which is a pipe from this process: when this process ends,
    even by SIGKILL, the pipe closes, and the child ends. A child that ends by itself is started
    again on the same ports. Entering the context raises `RuntimeError` when it does not start.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._relay: asyncio.Task[None] | None = None
        self.urls: dict[str, str] = {}
        """What the child announced: the addresses of `Urls`, and its voice, profile and seed."""

    async def __aenter__(self) -> Self:
        self._process, self.urls = await self._start(())
        self._supervisor = asyncio.create_task(self._supervise(), name="simulator-supervisor")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
        if self._process is not None:
            await self._stop(self._process)

    async def _start(
        self, ports: Sequence[str]
    ) -> tuple[asyncio.subprocess.Process, dict[str, str]]:
        if self._relay is not None:
            await self._relay_end(self._relay)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "app.simulator",
            "--exit-with-parent",
            *self._arguments,
            *ports,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(os.environ),
            start_new_session=True,  # Ctrl-C must not end it while the gateway needs it
        )
        assert process.stderr is not None
        self._relay = asyncio.create_task(_relay(process.stderr), name="simulator-log")
        try:
            return process, await self._read_announcement(process)
        except BaseException:
            await self._stop(process)
            raise

    async def _supervise(self) -> None:
        """Start the child again whenever it has ended; connections find it where it was."""
        ws_port = urlsplit(self.urls["hamsa_ws_url"]).port
        http_port = urlsplit(self.urls["hamsa_rest_url"]).port
        ports = (f"--ws-port={ws_port}", f"--http-port={http_port}")
        wait_s = FIRST_RESTART_AFTER_S
        while True:
            assert self._process is not None
            code = await self._process.wait()
            _log.warning("the simulator ended with code %d; it is started again", code)
            await asyncio.sleep(wait_s)
            try:
                self._process, _ = await self._start(ports)
            except (RuntimeError, OSError):
                wait_s = min(2 * wait_s, MAX_RESTART_AFTER_S)
            else:
                wait_s = FIRST_RESTART_AFTER_S

    async def _read_announcement(self, process: asyncio.subprocess.Process) -> dict[str, str]:
        """Return what the child announces in its first line.

        It prints that line when it listens; a closed pipe means that it has ended before.
        """
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError:
            raise RuntimeError(
                f"the simulator announced no address within {START_TIMEOUT_S:g} s"
            ) from None
        if not line:
            raise RuntimeError("the simulator ended before it listened; see its output above")
        announced: dict[str, str] = json.loads(line)
        return announced

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        """Close the pipe, which ends the child; kill it when that takes longer than 3 s."""
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(3):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._relay is not None:
            await self._relay_end(self._relay)

    async def _relay_end(self, relay: asyncio.Task[None]) -> None:
        """Wait until all that a child has written is logged, but not for long."""
        await asyncio.wait([relay], timeout=RELAY_TIMEOUT_S)
        relay.cancel()
        await asyncio.wait([relay])


async def _relay(stream: asyncio.StreamReader) -> None:
    """Log what a child writes to its standard error, in the form of this process's log."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the reader's buffer
            continue
        if not line:
            return
        if text := line.decode(errors="replace").rstrip():
            _log.warning("simulator: %s", text)
