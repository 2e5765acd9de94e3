"""Readiness: whether this process should be sent new sessions, and why not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

import structlog

RETRY_INTERVAL_S = 10.0
"""Shortest time between two attempts to find a way to speech while there is none: nobody else makes
one, as no session comes. Chosen."""

START_TIMEOUT_S = 20.0
"""Longest start: two handshakes, of STT and TTS, that fail after 10 s. A plug-in may hang."""

Reason = Literal["starting", "draining", "full", "speech-unavailable"]


log = structlog.get_logger(__name__)


class NotReady(NamedTuple):
    """Why no new session should come."""

    reason: Reason
    message: str


class Readiness:
    """Asks whoever knows, at each call.

    `find_speech` is told to look for a way to speech when `can_speak` says that there is none.
    """

    def __init__(
        self,
        *,
        is_draining: Callable[[], bool],
        is_full: Callable[[], bool],
        can_speak: Callable[[float], bool],
        find_speech: Callable[[], None],
    ) -> None:
        self.has_started = False
        """Whether the first connections to the provider have been tried."""
        self._is_draining = is_draining
        self._is_full = is_full
        self._can_speak = can_speak
        self._find_speech = find_speech
        self._looked_at = float("-inf")

    async def start(self, warm_up: Callable[[], Awaitable[None]]) -> None:
        """Open the first connections; whether they work or not, the start is over then."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await warm_up()
        except TimeoutError:
            log.warning("the first connections took too long", timeout_s=START_TIMEOUT_S)
        self.has_started = True

    def check(self, now: float) -> NotReady | None:
        """Return why no session should come; None if one may. `now` is the loop's time."""
        if self._is_draining():
            return NotReady("draining", "the gateway is being stopped")
        if not self.has_started:
            return NotReady("starting", "the first connections are being opened")
        if not self._can_speak(now):
            if now - self._looked_at >= RETRY_INTERVAL_S:
                self._looked_at = now
                self._find_speech()
            return NotReady("speech-unavailable", "no way to the speech provider works")
        if self._is_full():
            return NotReady("full", "as many sessions are open as may (MAX_SESSIONS)")
        return None
