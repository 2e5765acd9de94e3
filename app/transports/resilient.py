"""Decides what an answer is worth: a transport made of transports.

    round 1          the preferred way
    round 2          at once, beginning with the other way; several together when much fails
    round 3 and on   after a pause

An answer that breaks in the middle begins the rounds anew, from the place where it broke.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog

from app import errors
from app.transports.attempt import AttemptRunner, DeliveredAudio, Route, start_first_available
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from app.transports.policy import Policy, parallel_attempts
from app.transports.race import Candidate, race

log = structlog.get_logger(__name__)


OUTAGE_ATTEMPTS = 2
"""Attempts at a sentence that begins when all ways are out: enough to probe, and a quick answer
for the caller."""


class ResilientTransport(TTSTransport):
    """Speaks every sentence whole, once, by whichever of `transports` can; the first is preferred.

    Raises the last attempt's error when all fail, a final error at once.
    """

    name = "resilient"

    def __init__(self, transports: Sequence[TTSTransport], policy: Policy | None = None) -> None:
        self.routes = [Route(transport) for transport in transports]
        self._policy = policy or Policy()

    def __repr__(self) -> str:
        return f"<ResilientTransport {self.routes}>"

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        """Speak one sentence."""
        stream = ResilientStream(self.routes, self._policy, request)
        await stream.begin()
        try:
            yield stream
        except BaseException as error:
            await stream.release(error)
            raise
        else:
            await stream.release(None)

    async def warm_up(self) -> None:
        """Warm all ways up: what is there for when one fails must be there at once."""
        for route in self.routes:
            await route.transport.warm_up()

    async def aclose(self) -> None:
        """Close all ways."""
        for route in self.routes:
            await route.transport.aclose()


class ResilientStream(AudioStream):
    """The audio of one sentence, from as many attempts as it takes."""

    def __init__(self, routes: Sequence[Route], policy: Policy, request: SpeechRequest) -> None:
        self._routes = routes
        self._policy = policy
        self._request = request
        self._delivered = DeliveredAudio()
        self._runner: AttemptRunner | None = None
        self._next_route = 0
        outage = all(route.breaker.is_outage for route in routes)
        self._attempts = min(policy.attempts, OUTAGE_ATTEMPTS) if outage else policy.attempts

    @property
    def trailing(self) -> TrailingAudio | None:  # type: ignore[override]
        """Where audio that comes late is found."""
        return self._runner.trailing if self._runner is not None else None

    async def begin(self) -> None:
        """Find the first attempt that proves itself."""
        self._runner = await self._search(first_round=1)
        self.format = self._runner.stream.format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._runner is not None:
            try:
                async for chunk in self._runner.audio():
                    yield chunk
            except errors.ProviderError as error:
                await self._broke(error)
                self._runner = await self._search(first_round=2)
            else:
                return

    async def release(self, error: BaseException | None) -> None:
        """Give the resources back."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.release(error)

    async def _broke(self, error: errors.ProviderError) -> None:
        """Give the broken attempt up; raises its error when no other can help."""
        assert self._runner is not None
        log.warning("answer broke", code=error.code, heard_bytes=self._delivered.position)
        await self.release(error)
        if not error.retryable or self._attempts_left < 1:
            raise error
        self._next_route += 1

    async def _search(self, *, first_round: int) -> AttemptRunner:
        """Go through the rounds until an attempt proves itself."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._policy.deadline_s
        number, resume_at = first_round, self._unblocked_at
        if resume_at >= deadline:
            raise errors.RateLimitedError("all ways have asked for time", resume_at - loop.time())
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.sleep(max(0.0, resume_at - loop.time()))
                    return await self._round(number)
            except errors.ProviderError as error:
                number += 1
                self._next_route += 1
                resume_at = self._resume_at(number)
                if not error.retryable or self._attempts_left < 1 or resume_at >= deadline:
                    raise
            except TimeoutError:
                raise errors.ProviderTimeoutError(
                    f"no good answer within {self._policy.deadline_s} s"
                ) from None

    async def _round(self, number: int) -> AttemptRunner:
        count, hedge_delay_s = 1, 0.0
        if len(self._routes) > 1:  # otherwise sockets are too scarce to race on
            if number > 1:
                count = min(parallel_attempts(self._failure_rate), self._attempts_left)
            elif self._policy.hedge_after_s is not None:
                count, hedge_delay_s = min(2, self._attempts_left), self._policy.hedge_after_s
        candidates = [self._candidate(self._next_route + turn) for turn in range(count)]
        if count == 1:
            return await candidates[0]()
        return await race(candidates, hedge_delay_s=hedge_delay_s)

    def _candidate(self, first: int) -> Candidate:
        """Return an attempt by this way, or by those after it when it cannot take the request."""
        at = first % len(self._routes)
        order = [*self._routes[at:], *self._routes[:at]]
        return partial(start_first_available, order, self._request, self._delivered)

    def _resume_at(self, number: int) -> float:
        """Return when the next round may begin: after its pause, and after what was asked of us."""
        now = asyncio.get_running_loop().time()
        pause_s = self._policy.pause_s(number, random.random())  # noqa: S311 - no secret
        return max(now + pause_s, self._unblocked_at)

    @property
    def _unblocked_at(self) -> float:
        """When the first of the ways may be used that asked for time; now if one did not."""
        now = asyncio.get_running_loop().time()
        return min(route.breaker.blocked_until(now) for route in self._routes)

    @property
    def _attempts_left(self) -> int:
        return self._attempts - len(self._request.attempts)

    @property
    def _failure_rate(self) -> float:
        return sum(route.breaker.failure_rate for route in self._routes) / len(self._routes)
