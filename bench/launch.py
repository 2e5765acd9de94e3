"""Start a relay in a process of its own: `python -m bench.launch gateway|baseline LOOP`.

With `BENCH_COUNTERS` it counts its allocations into that file. With `BENCH_PROFILE` it runs under
cProfile, and writes the profile to that file when it is stopped.
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


def run_gateway(loop: str) -> None:
    """Serve as `nabra serve` does, on this event loop."""
    from app.serving import process as server  # noqa: PLC0415 - the baseline must not load the gateway

    configured = server.server_config

    def server_config(*arguments: object) -> uvicorn.Config:
        config = configured(*arguments)  # type: ignore[arg-type]
        config.loop = loop
        return config

    server.server_config = server_config  # type: ignore[assignment]
    server.serve()


def run_baseline(loop: str) -> None:
    """Serve the baseline on this event loop."""
    from bench import baseline  # noqa: PLC0415 - the gateway must not load the baseline

    logging.disable()  # else every caller that disconnects is logged
    if loop == "uvloop":
        uvloop.run(baseline.main())
    else:
        asyncio.run(baseline.main())


def main(kind: str, loop: str) -> None:
    """Run the relay, counted or profiled as the environment says."""
    if counters := os.environ.get("BENCH_COUNTERS"):
        count_into(Path(counters))
    run: Callable[[str], None] = {"gateway": run_gateway, "baseline": run_baseline}[kind]
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
