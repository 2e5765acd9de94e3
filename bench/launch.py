"""Starts what is measured, as a process of its own: `python -m bench.launch gateway|floor LOOP`.

With `BENCH_COUNTERS` it counts allocations into that file; with `BENCH_PROFILE` it is profiled, and
writes what cProfile saw there when it is stopped.
"""

import asyncio
import cProfile
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
import uvloop

from bench.allocations import count_into


def gateway(loop: str) -> None:
    """Serve as `nabra serve` does, on this event loop."""
    from app.serving import process as server  # noqa: PLC0415 - the floor must not carry it

    configured = server.server_config

    def server_config(*arguments: object) -> uvicorn.Config:
        config = configured(*arguments)  # type: ignore[arg-type]
        config.loop = loop
        return config

    server.server_config = server_config  # type: ignore[assignment]
    server.serve()


def floor(loop: str) -> None:
    """Run the floor on this event loop."""
    from bench import floor  # noqa: PLC0415 - nor the gateway the floor

    logging.disable()  # it tells of every caller who hangs up
    if loop == "uvloop":
        uvloop.run(floor.main())
    else:
        asyncio.run(floor.main())


def main(kind: str, loop: str) -> None:
    """Run it, watched as the environment says."""
    if counters := os.environ.get("BENCH_COUNTERS"):
        count_into(Path(counters))
    run: Callable[[str], None] = {"gateway": gateway, "floor": floor}[kind]
    if target := os.environ.get("BENCH_PROFILE"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        profile = cProfile.Profile()
        try:
            profile.runcall(run, loop)
        finally:
            profile.dump_stats(target)
    else:
        run(loop)


if __name__ == "__main__":
    main(*sys.argv[1:])
