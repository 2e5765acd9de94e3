"""A transport as one of the choices for a sentence, together with its circuit breaker."""

import asyncio
import math
from collections.abc import Sequence

from app import errors
from app.telemetry.availability import Availability, transport_availability
from app.transports.base import TTSTransport
from app.transports.bounded_stream import log_defect
from app.transports.breaker import Breaker
from app.transports.policy import BreakerLimits, RouteRole

PACE_WEIGHT = 0.2
"""Weight of the latest sentence in the pace of a route: some ten sentences are remembered."""


class Route:
    """A transport, what it is to the other routes, and its circuit breaker."""

    def __init__(
        self,
        transport: TTSTransport,
        role: RouteRole = RouteRole.FALLBACK,
        limits: BreakerLimits | None = None,
        availability: Availability | None = None,
    ) -> None:
        self.transport = transport
        self.provider = transport.provider or transport.name
        self.role = role
        self._limits = limits or BreakerLimits()
        self.breaker = Breaker(self._limits)
        self._availability = availability or transport_availability(transport.name)
        self._refused_s = self._limits.cool_down_s
        """How long the route is left alone after the next refusal."""
        self.ms_per_char: float | None = None
        """How fast its voice speaks: duration of a speakable character; None until it has spoken a
        sentence."""

    def __repr__(self) -> str:
        return f"<Route {self.transport.name} {self.breaker}>"

    def is_usable(self, now: float) -> bool:
        """Tell whether a request may be sent and may succeed; after a cool-down a probe may."""
        return self.breaker.next_attempt_at(now) <= now and self.transport.is_usable(now)

    @property
    def is_down(self) -> bool:
        """Whether the log has been told that requests fail: by this route, or by the pool."""
        return self._availability.is_down or not self._can_connect()

    def on_success(self) -> None:
        """Record a complete stream."""
        self.breaker.record_success()
        self._availability.on_success()

    def on_spoken(self, duration_ms: float, chars: int) -> None:
        """Learn from a whole sentence how fast this route speaks, and that it does."""
        self._refused_s = self._limits.cool_down_s
        if chars:
            latest = duration_ms / chars
            before = latest if self.ms_per_char is None else self.ms_per_char
            self.ms_per_char = before + PACE_WEIGHT * (latest - before)

    def on_refusal(self, error: errors.ProviderError) -> None:
        """Leave the route alone if its provider refuses the key or the account, longer each time.

        Another provider speaks meanwhile.
        """
        if isinstance(error, errors.ACCOUNT_ERRORS):
            now = asyncio.get_running_loop().time()
            self.breaker.block(now + self._refused_s)
            self._refused_s = min(2 * self._refused_s, self._limits.max_cool_down_s)

    def on_failure(self, error: errors.ProviderError, *, is_probe: bool) -> None:
        """Record a failed attempt in the breaker. Final errors say nothing about the route."""
        now = asyncio.get_running_loop().time()
        if isinstance(error, errors.RateLimitedError) and error.retry_after_s:
            self.breaker.block(now + error.retry_after_s)
        if error.retryable:
            self.breaker.record_failure(now, is_probe=is_probe)
        else:
            self.breaker.record_abandoned(is_probe=is_probe)
        is_down = not self.breaker.is_closed or isinstance(error, errors.ACCOUNT_ERRORS)
        if is_down and self._can_connect():
            self._availability.on_failure(error)

    def _can_connect(self) -> bool:
        try:
            return self.transport.is_usable(asyncio.get_running_loop().time())
        except Exception as error:  # noqa: BLE001 - transports are strangers
            log_defect(self.transport.name, error)
            return True


def unblocked_at(routes: Sequence[Route], now: float) -> float:
    """Return when the first of these routes accepts requests again; `now` if one does."""
    return min(route.breaker.blocked_until(now) for route in routes)


def rate_limited_error(routes: Sequence[Route], now: float) -> errors.RateLimitedError:
    """Return the error for a request that none of these routes accepts yet."""
    wait_s = unblocked_at(routes, now) - now
    return errors.RateLimitedError(
        f"every transport is rate limited; next try in {math.ceil(wait_s)} s", wait_s
    )
