"""Speaks every sentence whole, once, over several transports, in rounds of attempts.

    round 1          the preferred route
    round 2          at once, first over the other route; several attempts if much fails
    round 3 and on   after a pause

A sentence that breaks in the middle is continued where it broke, beginning at round 2.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

import structlog

from app import errors
from app.pool.terms import Urgency
from app.telemetry.availability import Availability
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.attempt import AttemptRunner, refuse, start_first_available
from app.transports.base import (
    Attempt,
    Speech,
    SpeechRequest,
    SpeechSynthesizer,
    TrailingAudio,
    TTSTransport,
)
from app.transports.bounded_stream import log_defect
from app.transports.policy import Policy, RouteRole
from app.transports.race import Candidate, race
from app.transports.route import Route, rate_limited_error, unblocked_at
from app.transports.sentence_attempts import SentenceAttempts

log = structlog.get_logger(__name__)


class ResilientTransport(SpeechSynthesizer):
    """Speaks every sentence whole, once, by any of `transports`; the first is preferred.

    `roles` say what each transport is to the others; by default the first is preferred, and the
    others are its fallbacks. Raises the last attempt's error when all have failed, and a final
    error at once. Counts attempts and late audio in `metrics`. What else uses the transports shares
    `availability`, by name.
    """

    name = "resilient"

    def __init__(
        self,
        transports: Sequence[TTSTransport],
        policy: Policy | None = None,
        *,
        roles: Sequence[RouteRole] | None = None,
        metrics: SpeechMetrics | None = None,
        availability: Mapping[str, Availability] | None = None,
    ) -> None:
        self._policy = policy or Policy()
        self._metrics = metrics or SpeechMetrics()
        roles = roles or _default_roles(len(transports))
        self.routes = [
            Route(transport, role, self._policy.breaker, (availability or {}).get(transport.name))
            for transport, role in zip(transports, roles, strict=True)
        ]
        for transport in transports:
            self._metrics.add_transport(transport.name)

    def __repr__(self) -> str:
        return f"<ResilientTransport {self.routes}>"

    def synthesize(self, request: SpeechRequest, urgency: Urgency) -> "ResilientSpeech":
        """Speak one sentence."""
        max_ms_per_char = self._policy.streams.max_ms_per_char
        if request.max_ms_per_char != max_ms_per_char:
            request = replace(request, max_ms_per_char=max_ms_per_char)
        sentence = SentenceAttempts(
            request, urgency=urgency, policy=self._policy, metrics=self._metrics
        )
        return ResilientSpeech(self.routes, self._policy, sentence)

    async def warm_up(self) -> None:
        """Warm up all transports: a fallback is needed without delay, too.

        A failure is left for the request that needs the connection.
        """
        for number, route in enumerate(self.routes):
            try:
                await route.transport.warm_up(1 if number else self._policy.warm_connections)
            except Exception as error:  # noqa: BLE001 - transports are strangers
                log_defect(route.transport.name, error)

    def is_usable(self, now: float) -> bool:
        """Tell whether any of the transports may be tried."""
        return any(route.is_usable(now) for route in self.routes)


class ResilientSpeech(Speech):
    """The audio of one sentence, from as many attempts as it takes."""

    def __init__(self, routes: Sequence[Route], policy: Policy, sentence: SentenceAttempts) -> None:
        self._routes = routes
        self._policy = policy
        self._sentence = sentence
        self._runner: AttemptRunner | None = None
        self._next_route = 0
        is_outage = all(route.breaker.is_outage for route in routes)
        self._max_attempts = policy.max_attempts(is_outage=is_outage)

    @property
    def attempts(self) -> Sequence[Attempt]:  # type: ignore[override]  # read-only
        """All attempts in the order of their start."""
        return self._sentence.records

    @property
    def trailing(self) -> TrailingAudio | None:  # type: ignore[override]  # read-only
        """The trailing audio of the last attempt."""
        return self._runner.trailing if self._runner is not None else None

    async def __aenter__(self) -> Self:
        """Wait for the first audio that may be played."""
        self._runner = await self._search(first_round=1)
        self.format = self._runner.format
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        """Release the current attempt."""
        await self._release(error)

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

    async def _release(self, error: BaseException | None) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.release(error)

    async def _on_break(self, runner: AttemptRunner, error: errors.ProviderError) -> None:
        """Release the attempt that broke, and make the next route the first to be tried.

        Raises the error if there can be no continuation.
        """
        delivered_bytes = self._sentence.delivered_bytes
        log.info(  # no warning: what follows may mend it
            "audio stream ended early",
            transport=runner.route.transport.name,
            attempt=self._sentence.records.index(runner.record) + 1,
            bytes=delivered_bytes,
            milliseconds=round(runner.format.duration_ms(delivered_bytes)),
            code=error.code,
        )
        await self._release(error)
        is_final = not error.retryable and not refuse(
            error, runner.route, self._routes, self._sentence
        )
        if is_final or self._attempts_left < 1:
            raise error
        self._next_route = self._routes.index(runner.route) + 1

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
                self._next_route = self._route_after_last()
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
                count = min(self._policy.parallel_attempts(self._failure_rate), self._attempts_left)
            elif self._policy.hedge_after_s is not None:
                count, hedge_delay_s = min(2, self._attempts_left), self._policy.hedge_after_s
        candidates = [self._candidate(self._next_route + offset) for offset in range(count)]
        if count == 1:
            return await candidates[0]()
        return await race(candidates, hedge_delay_s=hedge_delay_s)

    def _route_after_last(self) -> int:
        last = self._sentence.last_route
        return self._next_route + 1 if last is None else self._routes.index(last) + 1

    def _candidate(self, route_number: int) -> Candidate:
        """Return a candidate that prefers this route and falls back to those after it."""
        first = route_number % len(self._routes)
        order = [*self._routes[first:], *self._routes[:first]]
        return partial(start_first_available, order, self._sentence)

    def _begin_at(self, number: int) -> float:
        """Return when a round may begin: after its pause, once a route is not rate limited."""
        now = asyncio.get_running_loop().time()
        pause_s = self._policy.pause_s(number, random.random())  # noqa: S311 - no secret
        return max(now + pause_s, unblocked_at(self._routes, now))

    @property
    def _attempts_left(self) -> int:
        return self._max_attempts - len(self._sentence.records)

    @property
    def _failure_rate(self) -> float:
        return sum(route.breaker.failure_rate for route in self._routes) / len(self._routes)


def _default_roles(count: int) -> list[RouteRole]:
    if count == 1:
        return [RouteRole.ONLY]
    return [RouteRole.PREFERRED, *[RouteRole.FALLBACK] * (count - 1)]
