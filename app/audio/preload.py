"""Imports of numpy, soxr and what is built on them: after the start, and before a turn."""

import importlib


def preload() -> None:
    """Import all that conversions import when they are first used; a no-op the second time.

    It takes 0.1 s: call it in a thread, or the first turn would hold the event loop for so long.
    """
    for name in ("resample", "wav_samples"):
        importlib.import_module(f"app.audio.{name}")
    from app.audio.companding import codes  # noqa: PLC0415 - its table, too

    codes()
