"""What is said at the end of a run in which something was missing."""

from typing import Any

from tests.browser import chromium
from tests.net import nginx


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say it where nobody overlooks it; here, because no worker has a terminal."""
    if chromium.EXECUTABLE is None:
        terminalreporter.write_line(chromium.MISSING, red=True, bold=True)
    if nginx.EXECUTABLE is None:
        terminalreporter.write_line(nginx.MISSING)
