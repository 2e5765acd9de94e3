"""Speaks every sentence whole, once, over several transports, in rounds of attempts.

    round 1          the preferred route
    round 2          at once, first over the other route; several attempts if much fails
    round 3 and on   after a pause

A sentence that breaks in the middle is continued where it broke, beginning at round 2.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog

from app import errors
from app.transports.attempt import AttemptRunner, DeliveredAudio, start_first_available
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from app.transports.policy import Policy, parallel_attempts
from app.transports.race import Candidate, race
from app.transports.route import Route, rate_limited_error, unblocked_at

log = structlog.get_logger(__name__)


OUTAGE_ATTEMPTS = 2
"""Attempts at a sentence that begins in an outage of all routes: enough for a probe, and the caller
gets a quick error."""


class ResilientTransport(TTSTransport):
    """Speaks every sentence whole, once, by any of `transports`; the first is preferred.

    Raises the last attempt's error when all have failed, and a final error at once.
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
        """Warm up all transports: a fallback is needed without delay, too."""
        for route in self.routes:
            await route.transport.warm_up()

    def is_usable(self, now: float) -> bool:
        """Tell whether any of the transports may be tried."""
        return any(route.is_usable(now) for route in self.routes)

    async def aclose(self) -> None:
        """Close all transports."""
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
        is_outage = all(route.breaker.is_outage for route in routes)
        self._max_attempts = min(policy.attempts, OUTAGE_ATTEMPTS) if is_outage else policy.attempts

    @property
    def trailing(self) -> TrailingAudio | None:  # type: ignore[override]  # read-only
        """The trailing audio of the last attempt."""
        return self._runner.trailing if self._runner is not None else None

    async def begin(self) -> None:
        """Wait for the first audio that may be played."""
        self._runner = await self._search(first_round=1)
        self.format = self._runner.stream.format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._runner is not None:
            try:
                async for chunk in self._runner.audio():
                    yield chunk
            except errors.ProviderError as error:
                await self._on_break(self._runner, error)
                self._runner = await self._search(first_round=2)
            else:
                return

    async def release(self, error: BaseException | None) -> None:
        """Release the current attempt; `error` is what ended it, if anything."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.release(error)

    async def _on_break(self, runner: AttemptRunner, error: errors.ProviderError) -> None:
        """Release the attempt that broke, and make the next route the first to be tried.

        Raises the error if there can be no continuation.
        """
        attempts = enumerate(self._request.attempts, 1)
        broken = runner.stream.attempt
        log.warning(
            "audio stream ended early",
            transport=runner.route.transport.name,
            attempt=next((number for number, attempt in attempts if attempt is broken), None),
            bytes=self._delivered.position,
            milliseconds=round(runner.stream.format.duration_ms(self._delivered.position)),
            code=error.code,
        )
        await self.release(error)
        if not error.retryable or self._attempts_left < 1:
            raise error
        self._next_route += 1

    async def _search(self, *, first_round: int) -> AttemptRunner:
        """Go through the rounds until an attempt has usable audio.

        Each search has its own deadline: a break near the end of a long sentence must not find the
        time used up.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._policy.deadline_s
        number, begin_at = first_round, unblocked_at(self._routes, loop.time())
        if begin_at >= deadline:
            raise rate_limited_error(self._routes, loop.time())
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.sleep(max(0.0, begin_at - loop.time()))
                    return await self._round(number)
            except errors.ProviderError as error:
                number += 1
                self._next_route += 1
                begin_at = self._begin_at(number)
                if not error.retryable or self._attempts_left < 1 or begin_at >= deadline:
                    raise
            except TimeoutError:
                raise errors.ProviderTimeoutError(
                    f"no usable audio within {self._policy.deadline_s} s"
                ) from None

    async def _round(self, number: int) -> AttemptRunner:
        """Run one attempt, or several that race.

        There is no race on a single route: its sockets are too scarce.
        """
        count, hedge_delay_s = 1, 0.0
        if len(self._routes) > 1:
            if number > 1:
                count = min(parallel_attempts(self._failure_rate), self._attempts_left)
            elif self._policy.hedge_after_s is not None:
                count, hedge_delay_s = min(2, self._attempts_left), self._policy.hedge_after_s
        candidates = [self._candidate(self._next_route + offset) for offset in range(count)]
        if count == 1:
            return await candidates[0]()
        return await race(candidates, hedge_delay_s=hedge_delay_s)

    def _candidate(self, route_number: int) -> Candidate:
        """Return a candidate that prefers this route and falls back to those after it."""
        first = route_number % len(self._routes)
        order = [*self._routes[first:], *self._routes[:first]]
        return partial(start_first_available, order, self._request, self._delivered)

    def _begin_at(self, number: int) -> float:
        """Return when a round may begin: after its pause, once a route is not rate limited."""
        now = asyncio.get_running_loop().time()
        pause_s = self._policy.pause_s(number, random.random())  # noqa: S311 - no secret
        return max(now + pause_s, unblocked_at(self._routes, now))

    @property
    def _attempts_left(self) -> int:
        return self._max_attempts - len(self._request.attempts)

    @property
    def _failure_rate(self) -> float:
        return sum(route.breaker.failure_rate for route in self._routes) / len(self._routes)
