"""The drain: how sessions end when the gateway is stopped.

The first moment refuses new sessions. A session in which no turn runs ends at once, any other after
its turn, and all of them after `drain_s` seconds. Each client is told before its socket closes.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog

from app.errors import AccessDeniedError, SessionExpiredError
from app.pipeline.events import DrainedError

CLOSE_S = 3.0
"""Longest wait, after the last turn, for clients to read what is left; chosen."""

RETRY_AFTER_S = 5
"""When a client that is refused may come back: a restart takes some 3 s."""

RESTART_RETRY_MS = (1000, 3000)
"""When a client that is let go may come back: each at a time of its own between these, so that they
do not all come at once. Chosen."""

RESTARTING: Final = "server-restarting"
"""The code that refused clients and those that are let go are told."""

log = structlog.get_logger(__name__)


class SessionDrain:
    """The drain of one session."""

    def __init__(self) -> None:
        self.has_ended = False
        """Whether the drain has ended the session."""
        self._wait_idle: Callable[[], Awaitable[None]] | None = None
        self._end: Callable[[], None] | None = None

    @contextmanager
    def watching(
        self, wait_idle: Callable[[], Awaitable[None]], end: Callable[[], None]
    ) -> Iterator[None]:
        """While the context lasts, the session can be ended by `end`, best after `wait_idle`."""
        self._wait_idle, self._end = wait_idle, end
        try:
            if self.has_ended:
                end()
            yield
        finally:
            self._wait_idle = self._end = None

    async def end_when_idle(self) -> None:
        """Wait for the turn that runs, and end the session."""
        if self._wait_idle is not None:
            await self._wait_idle()
        self.end()

    def end(self) -> None:
        """End the session now, or as soon as it begins to take messages."""
        if self.has_ended:
            return
        self.has_ended = True
        if self._end is not None:
            self._end()


class Drain:
    """Ends all sessions, once it has begun."""

    def __init__(self, drain_s: float) -> None:
        self._drain_s = drain_s
        self._begun = asyncio.Event()
        self._sessions: dict[SessionDrain, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.is_complete = False
        """Whether the drain is over, and the process may end."""

    @property
    def has_begun(self) -> bool:
        """Whether the gateway is being stopped."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Begin to drain; do nothing if it has begun."""
        self._begun.set()

    def check(self) -> None:
        """Raise `AccessDeniedError` when no new session may begin."""
        if self.has_begun:
            raise AccessDeniedError(
                "the gateway is being restarted",
                status=503,
                code=RESTARTING,
                retry_after_s=RETRY_AFTER_S,
            )

    @contextmanager
    def session(self) -> Iterator[SessionDrain]:
        """Count a session, until its client has been told all."""
        session = SessionDrain()
        if self.has_begun:  # it was admitted a moment before
            session.end()
        self._sessions[session] = None
        self._empty.clear()
        try:
            yield session
        finally:
            del self._sessions[session]
            if not self._sessions:
                self._empty.set()

    async def run(self) -> None:
        """Wait until the drain begins; return when it is complete."""
        await self._begun.wait()
        log.info("draining", sessions=len(self._sessions), drain_s=self._drain_s)
        try:
            async with asyncio.timeout(self._drain_s), asyncio.TaskGroup() as tasks:
                for session in self._sessions:
                    tasks.create_task(session.end_when_idle(), name="drain")
        except TimeoutError:
            running = [session for session in self._sessions if not session.has_ended]
            log.warning("turns ran longer than DRAIN_S, and are cut", sessions=len(running))
            for session in running:
                session.end()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._empty.wait()
        except TimeoutError:
            log.warning("clients did not read to the end", sessions=len(self._sessions))
        self.is_complete = True


def retry_after_ms() -> int:
    """Return when a client that is let go may come back, in milliseconds."""
    return random.randint(*RESTART_RETRY_MS)  # noqa: S311 - no secret


@asynccontextmanager
async def ending(
    wait_idle: Callable[[], Awaitable[None]], drain: SessionDrain, *, max_s: float
) -> AsyncIterator[None]:
    """End the body by `SessionExpiredError` when its time is up, by `DrainedError` in a drain."""
    try:
        async with asyncio.timeout(max_s) as longest:
            with drain.watching(wait_idle, end=lambda: _expire(longest)):
                yield
    except TimeoutError:
        if not longest.expired():
            raise
        if drain.has_ended:
            raise DrainedError from None
        raise SessionExpiredError("longest time reached") from None


def _expire(timeout: asyncio.Timeout) -> None:
    """Let a timeout expire now, unless it has."""
    if not timeout.expired():
        timeout.reschedule(0)
