"""The simulator as a child process: it ends with its parent, however that ends."""

import asyncio
import json
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

START_TIMEOUT_S = 20.0
"""Longest wait for the simulator to listen; it takes under a second on an idle machine."""


class SimulatorProcess:
    """Runs `python -m app.simulator` while its context lasts.

    The child reads its standard input, which is a pipe from here: when this process is gone, even
    killed, the pipe ends, and the child with it. `urls` holds what the child announced.
    Raises `RuntimeError` when it does not start.
    """

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.urls: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.simulator",
            "--exit-with-parent",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the gateway: it still talks to the simulator
        )
        try:
            self.urls = await self._announcement(self._process)
        except BaseException:
            await self._end(self._process)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            await self._end(self._process)

    async def _announcement(self, process: asyncio.subprocess.Process) -> dict[str, str]:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError:
            raise RuntimeError(f"the simulator said nothing for {START_TIMEOUT_S} s") from None
        if not line:
            raise RuntimeError("the simulator ended before it listened")
        announced: dict[str, str] = json.loads(line)
        return announced

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(3):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
