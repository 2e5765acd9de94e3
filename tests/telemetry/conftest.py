"""Logging as it was before, after each test."""

import logging
from collections.abc import Iterator
from functools import partial

import pytest
import structlog

from app.telemetry import logs


@pytest.fixture(autouse=True)
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore logging after the test, pytest's own handlers included.

    No logger may keep what a test configures: the next test could not read its lines.
    """
    monkeypatch.setattr(logs, "configure", partial(logs.configure, is_final=False))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:  # otherwise `force=True` closes them
        root.removeHandler(handler)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
