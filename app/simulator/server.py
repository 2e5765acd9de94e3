"""Run a simulator as a process: announce where it listens, and end when told."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict

import uvloop

from app.simulator.config import SimulatorConfig
from app.simulator.simulator import Simulator


def run(
    config: SimulatorConfig,
    *,
    exit_with_parent: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until SIGTERM or SIGINT; with `exit_with_parent` also until standard input ends.

    `announce` gets one line of JSON as soon as both servers listen.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, exit_with_parent, announce))


async def _serve(
    config: SimulatorConfig, exit_with_parent: bool, announce: Callable[[str], None]
) -> None:
    stop = _stop_event(exit_with_parent)
    async with Simulator(config) as simulator:
        announce(announcement(simulator))
        sys.stdout.flush()  # a pipe would keep the line otherwise
        await stop.wait()


def announcement(simulator: Simulator) -> str:
    """Say on one line where a simulator listens, and as what."""
    return json.dumps(
        {
            **asdict(simulator.urls),
            "voice": simulator.voice_name,
            "profile": simulator.config.profile,
            "seed": simulator.config.seed,
        }
    )


def _stop_event(exit_with_parent: bool) -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_parent:
        threading.Thread(target=_await_end_of_input, args=(loop, stop), daemon=True).start()
    return stop


def _await_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Read standard input to its end: the pipe closes however the parent ends.

    A thread, because the loop can read no plain file; by descriptor, because a daemon thread must
    not hold the lock of `sys.stdin` when the interpreter goes down.
    """
    while os.read(0, 4_096):
        pass
    loop.call_soon_threadsafe(stop.set)
