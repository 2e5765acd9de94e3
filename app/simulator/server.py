"""Run a simulator as a process: announce its addresses, and serve until a signal."""

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

    `announce` is called with one line of JSON as soon as both servers listen. Raises an
    `ExceptionGroup` with an `OSError` when a port is taken.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, exit_with_parent, announce))


async def _serve(
    config: SimulatorConfig, exit_with_parent: bool, announce: Callable[[str], None]
) -> None:
    stop = _stop_event(exit_with_parent)
    async with Simulator(config) as simulator:
        try:
            announce(announcement(simulator))
            sys.stdout.flush()  # to a pipe, Python would hold the line back
        except BrokenPipeError:
            # The parent is gone. What is left in the buffer would be an error again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        await stop.wait()


def announcement(simulator: Simulator) -> str:
    """Return one line of JSON: the addresses of a simulator, its voice, profile and seed."""
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
    """Read standard input to its end; the pipe closes however the parent ends.

    In a thread, because the loop cannot read a plain file; by descriptor, because a daemon thread
    must not hold the lock of `sys.stdin` when the interpreter shuts down.
    """
    while os.read(0, 4_096):
        pass
    loop.call_soon_threadsafe(stop.set)
