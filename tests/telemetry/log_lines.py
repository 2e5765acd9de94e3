"""What was logged, line by line."""

from typing import Literal, get_args

import pytest

KEY = "secret-key-of-the-test"
Format = Literal["console", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on standard error; nothing may be on standard output."""
    captured = capsys.readouterr()
    assert captured.out == "", "standard output belongs to the program"
    return captured.err.splitlines()
