"""What a check has found, as a line for the terminal."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How a check ended; the value is what stands before its line."""

    OK = "✓"
    WARNING = "!"
    """It works, but not as it should."""
    FAILED = "✗"
    UNKNOWN = "-"
    """It could not be found out, because something else failed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    mark: Mark
    text: str
    """What was checked, and what was seen or is to be done: `subject: sentence`."""

    def __str__(self) -> str:
        return f"  {self.mark} {self.text}"


def has_failed(findings: Iterable[Finding]) -> bool:
    """Return whether anything will not work."""
    return any(finding.mark is Mark.FAILED for finding in findings)
