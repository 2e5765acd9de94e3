"""SimulatorProcess: the simulator as a child process, which never outlives its parent."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

START_TIMEOUT_S = 20.0
"""Longest wait until the child listens; it takes under a second on an idle machine."""


INHERITED = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "VIRTUAL_ENV", "ESPEAK_DATA_PATH"),
)
"""All that the child gets of the environment: what Python and the voice need, and no secret."""


class SimulatorProcess:
    """Run `python -m app.simulator` while the context lasts.

    The child reads its standard input, which is a pipe from this process: when this process ends,
    even by SIGKILL, the pipe closes, and the child ends. Entering the context raises
    `RuntimeError` when the child does not start.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.urls: dict[str, str] = {}
        """What the child announced: the addresses of `Urls`, and its voice, profile and seed."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.simulator",
            "--exit-with-parent",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: os.environ[name] for name in INHERITED if name in os.environ},
            start_new_session=True,  # Ctrl-C must not end it while the gateway needs it
        )
        try:
            self.urls = await self._read_announcement(self._process)
        except BaseException:
            await self._stop(self._process)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            await self._stop(self._process)

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
