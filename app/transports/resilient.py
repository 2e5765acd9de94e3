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
from app.transports.base import AudioStream, LateAudio, SpeechRequest, TTSTransport
from app.transports.policy import Policy, at_once
from app.transports.race import Entrant, race
from app.transports.trial import Heard, Trial, Way, enter

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
        self.ways = [Way(transport) for transport in transports]
        self._policy = policy or Policy()

    def __repr__(self) -> str:
        return f"<ResilientTransport {self.ways}>"

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        """Speak one sentence."""
        stream = ResilientStream(self.ways, self._policy, request)
        await stream.begin()
        try:
            yield stream
        except BaseException as error:
            await stream.leave(error)
            raise
        else:
            await stream.leave(None)

    async def warm_up(self) -> None:
        """Warm all ways up: what is there for when one fails must be there at once."""
        for way in self.ways:
            await way.transport.warm_up()

    async def aclose(self) -> None:
        """Close all ways."""
        for way in self.ways:
            await way.transport.aclose()


class ResilientStream(AudioStream):
    """The audio of one sentence, from as many attempts as it takes."""

    def __init__(self, ways: Sequence[Way], policy: Policy, request: SpeechRequest) -> None:
        self._ways = ways
        self._policy = policy
        self._request = request
        self._heard = Heard()
        self._trial: Trial | None = None
        self._next_way = 0
        outage = all(way.breaker.knows_an_outage for way in ways)
        self._attempts = min(policy.attempts, OUTAGE_ATTEMPTS) if outage else policy.attempts

    @property
    def late(self) -> LateAudio | None:  # type: ignore[override]
        """Where audio that comes late is found."""
        return self._trial.late if self._trial is not None else None

    async def begin(self) -> None:
        """Find the first attempt that proves itself."""
        self._trial = await self._search(first_round=1)
        self.format = self._trial.stream.format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._trial is not None:
            try:
                async for chunk in self._trial.audio():
                    yield chunk
            except errors.ProviderError as error:
                await self._broke(error)
                self._trial = await self._search(first_round=2)
            else:
                return

    async def leave(self, error: BaseException | None) -> None:
        """Give the resources back."""
        trial, self._trial = self._trial, None
        if trial is not None:
            await trial.leave(error)

    async def _broke(self, error: errors.ProviderError) -> None:
        """Give the broken attempt up; raises its error when no other can help."""
        assert self._trial is not None
        log.warning("answer broke", code=error.code, heard_bytes=self._heard.position)
        await self.leave(error)
        if not error.retryable or self._attempts_left < 1:
            raise error
        self._next_way += 1

    async def _search(self, *, first_round: int) -> Trial:
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
                self._next_way += 1
                resume_at = self._resume_at(number)
                if not error.retryable or self._attempts_left < 1 or resume_at >= deadline:
                    raise
            except TimeoutError:
                raise errors.ProviderTimeoutError(
                    f"no good answer within {self._policy.deadline_s} s"
                ) from None

    async def _round(self, number: int) -> Trial:
        count, head_start_s = 1, 0.0
        if len(self._ways) > 1:  # otherwise sockets are too scarce to race on
            if number > 1:
                count = min(at_once(self._failure_rate), self._attempts_left)
            elif self._policy.hedge_after_s is not None:
                count, head_start_s = min(2, self._attempts_left), self._policy.hedge_after_s
        entrants = [self._entrant(self._next_way + turn) for turn in range(count)]
        if count == 1:
            return await entrants[0]()
        return await race(entrants, head_start_s=head_start_s)

    def _entrant(self, first: int) -> Entrant:
        """Return an attempt by this way, or by those after it when it cannot take the request."""
        at = first % len(self._ways)
        order = [*self._ways[at:], *self._ways[:at]]
        return partial(enter, order, self._request, self._heard)

    def _resume_at(self, number: int) -> float:
        """Return when the next round may begin: after its pause, and after what was asked of us."""
        now = asyncio.get_running_loop().time()
        pause_s = self._policy.pause_s(number, random.random())  # noqa: S311 - no secret
        return max(now + pause_s, self._unblocked_at)

    @property
    def _unblocked_at(self) -> float:
        """When the first of the ways may be used that asked for time; now if one did not."""
        now = asyncio.get_running_loop().time()
        return min(way.breaker.blocked_until(now) for way in self._ways)

    @property
    def _attempts_left(self) -> int:
        return self._attempts - len(self._request.attempts)

    @property
    def _failure_rate(self) -> float:
        return sum(way.breaker.failure_rate for way in self._ways) / len(self._ways)
