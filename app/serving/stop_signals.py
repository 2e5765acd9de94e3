"""SIGTERM and SIGINT before the server has started: nothing is to be finished yet.

Imports next to nothing, so that the handler is in place before the imports, which take a second. In
a container the process is number 1, for which the kernel drops a signal that has no handler.
"""

import os
import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def exit_at_once(_signal: int, _frame: FrameType | None) -> None:
    """End the process with code 0, whatever it is doing.

    The simulator's process ends by itself when the pipe from this one closes.
    """
    os._exit(0)


def install() -> None:
    """Let a stop signal end the process at once, until the server handles them."""
    for each in STOP_SIGNALS:
        signal.signal(each, exit_at_once)
