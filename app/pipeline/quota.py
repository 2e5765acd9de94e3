"""What a session may still use: whoever counts it stands outside the pipeline."""

from typing import Protocol


class Quota(Protocol):
    """Counts what a session uses."""

    async def take_turn(self) -> None:
        """Count a turn. Raises `UsageLimitError` when there were too many."""

    async def take_chars(self, chars: int) -> None:
        """Count characters that are to be spoken. Raises `UsageLimitError` when too many were."""


class Unlimited:
    """A quota without limits."""

    async def take_turn(self) -> None:
        """Count nothing."""

    async def take_chars(self, chars: int) -> None:
        """Count nothing."""
