"""What all tests share, and what the end of a run says of what was missing."""

import gc
import ssl
from collections.abc import Iterator
from functools import cache
from typing import Any

import certifi
import pytest

from tests.browser import chromium
from tests.deploy import prometheus
from tests.net import nginx


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Let no garbage collection close what a test has leaked."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def certificates_read_once() -> Iterator[None]:
    """Let all HTTP clients that trust no certificate of their own share httpx's list of them.

    It takes 30 ms to read, and tests make many clients. The gateway's clients do not use it.
    """
    make, of_httpx = ssl.create_default_context, certifi.where()
    shared = cache(lambda: make(cafile=of_httpx))

    def create_default_context(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        return shared() if (args, kwargs) == ((), {"cafile": of_httpx}) else make(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", create_default_context)
        yield


def pytest_collection_finish() -> None:
    """Spare garbage collections what lives to the end: all tests, and all modules."""
    gc.collect()
    gc.freeze()


WAITING = ("tests/browser/", "tests/test_fault_matrix.py")
"""Tests that wait for sound and for timeouts, and leave the processors idle meanwhile."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the tests that wait over the run, so that others use the time."""
    kinds: dict[str, list[pytest.Item]] = {}
    for item in items:
        kind = next(filter(item.nodeid.startswith, WAITING), "")
        kinds.setdefault(kind, []).append(item)
    place = {item: at / len(kind) for kind in kinds.values() for at, item in enumerate(kind)}
    items.sort(key=place.__getitem__)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name what was missing where nobody overlooks it; no worker of xdist has a terminal."""
    if chromium.EXECUTABLE is None:
        terminalreporter.write_line(chromium.MISSING, red=True, bold=True)
    if nginx.EXECUTABLE is None:
        terminalreporter.write_line(nginx.MISSING)
    if prometheus.IS_MISSING:
        terminalreporter.write_line(prometheus.MISSING)
