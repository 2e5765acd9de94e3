"""What a session uses: whoever counts it, and bounds it, stands outside the pipeline."""

from typing import Protocol


class Quota(Protocol):
    """Counts what a session uses."""

    async def take_turn(self) -> None:
        """Count a turn. Raises `UsageLimitError` when there were too many."""

    async def take_chars(self, chars: int) -> None:
        """Count characters that are to be spoken. Raises `UsageLimitError` when too many were."""

    def hold_audio(self, size: int) -> None:
        """Count bytes of audio that wait for the client; a negative size waits no more."""


class Unlimited:
    """A quota without limits."""

    async def take_turn(self) -> None:
        """Count nothing."""

    async def take_chars(self, chars: int) -> None:
        """Count nothing."""

    def hold_audio(self, size: int) -> None:
        """Count nothing."""
