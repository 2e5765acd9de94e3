"""An agent of a plug-in within all limits: it is a stranger, and need not bound anything."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import TypeVar

import structlog

from app.agents.base import Agent, AgentRequest
from app.agents.response_timeouts import ResponseTimeouts
from app.errors import AgentError, AgentFailedError, AgentTimeoutError
from app.text.speakable import is_speakable
from app.timeouts import ReusableTimeout, stall_tolerant_timeout

T = TypeVar("T")

log = structlog.get_logger(__name__)

RELEASE_TIMEOUT_S = 2.0
"""Longest release of a response: it needs nothing of the agent, only a plug-in with a defect takes
longer."""


class BoundedAgent(Agent):
    """Bounds the wait for the first text, for more text, and for a whole response, in seconds.

    Whatever the agent raises is an `AgentError` outside.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        first_token_timeout_s: float,
        between_tokens_timeout_s: float,
        total_timeout_s: float,
    ) -> None:
        self.name = agent.name
        self._agent = agent
        self._make_timeouts = partial(
            ResponseTimeouts,
            first_token_timeout_s=first_token_timeout_s,
            between_tokens_timeout_s=between_tokens_timeout_s,
            total_timeout_s=total_timeout_s,
        )
        self._is_traceback_logged = False

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Send the request when the first piece is awaited, and iterate over the pieces."""
        async with aclosing(self._pieces(request)) as pieces:
            yield pieces

    async def aclose(self) -> None:
        """Close all connections."""
        await self._agent.aclose()

    async def _pieces(self, request: AgentRequest) -> AsyncGenerator[str, None]:
        timeouts, limit = self._make_timeouts(), ReusableTimeout()
        entered = AsyncExitStack()
        try:
            pieces = await self._wait(
                entered.enter_async_context(self._agent.answer(request)), timeouts, limit
            )
            while piece := await self._wait(_next_piece(pieces), timeouts, limit):
                if is_speakable(piece):
                    timeouts.on_text()
                yield piece
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, AgentError):
                raise
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise
            raise self._as_failure(error) from None
        finally:
            limit.close()
            await self._release(entered)

    async def _wait(
        self, work: Awaitable[T], timeouts: ResponseTimeouts, limit: ReusableTimeout
    ) -> T:
        try:
            return await limit.wait_for(work, timeouts.left_s)
        except TimeoutError:
            raise AgentTimeoutError(timeouts.reason()) from None
        finally:
            timeouts.spend(limit.waited_s)

    async def _release(self, entered: AsyncExitStack) -> None:
        try:
            async with stall_tolerant_timeout(RELEASE_TIMEOUT_S):
                await entered.aclose()
        except Exception as error:  # noqa: BLE001 - the response is over, however it went
            self._as_failure(error)

    def _as_failure(self, error: BaseException) -> AgentFailedError:
        """Log what no agent should raise, the first time with its traceback."""
        log.error(
            "agent failed",
            agent=self.name,
            error=type(error).__name__,
            exc_info=None if self._is_traceback_logged else error,
        )
        self._is_traceback_logged = True
        return AgentFailedError(f"agent {self.name!r} raised {type(error).__name__}")


async def _next_piece(pieces: AsyncIterator[str]) -> str:
    """Return the next piece that is not empty; an empty one at the end."""
    async for piece in pieces:
        if not isinstance(piece, str):
            raise TypeError(f"a piece must be a string, got {type(piece).__name__}")
        if piece:
            return piece
    return ""
