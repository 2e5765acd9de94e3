"""A gateway as a process, whose standard output and error are one file."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.test_serve import SERVE, environment
from tests.waiting import until


@asynccontextmanager
async def logged_process(
    log_path: Path, settings: Mapping[str, str], ready: str, command: Sequence[str] = SERVE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a gateway in the folder of its log, and wait until that says `ready`.

    It ends with the context, however that ends.
    """

    def log() -> str:
        return log_path.read_text(encoding="utf-8")

    with log_path.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=log_path.parent,
            env=environment(**settings),
            stdout=output,
            stderr=output,
        )
    try:
        await until(
            lambda: ready in log() or process.returncode is not None,
            state=log_path,
            timeout_s=30,
        )
        assert process.returncode is None, log()
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
