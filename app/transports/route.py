"""A transport as one of the choices for a sentence, together with its circuit breaker."""

import asyncio
import math
from collections.abc import Sequence

from app import errors
from app.transports.base import TTSTransport
from app.transports.breaker import Breaker
from app.transports.policy import BreakerLimits, RouteRole


class Route:
    """A transport, what it is to the other routes, and its circuit breaker."""

    def __init__(
        self,
        transport: TTSTransport,
        role: RouteRole = RouteRole.FALLBACK,
        limits: BreakerLimits | None = None,
    ) -> None:
        self.transport = transport
        self.role = role
        self.breaker = Breaker(limits)

    def __repr__(self) -> str:
        return f"<Route {self.transport.name} {self.breaker}>"

    def on_failure(self, error: errors.ProviderError, *, is_probe: bool) -> None:
        """Record a failed attempt in the breaker. Final errors say nothing about the route."""
        now = asyncio.get_running_loop().time()
        if isinstance(error, errors.RateLimitedError) and error.retry_after_s:
            self.breaker.block(now + error.retry_after_s)
        if error.retryable:
            self.breaker.record_failure(now, is_probe=is_probe)
        else:
            self.breaker.record_abandoned(is_probe=is_probe)


def unblocked_at(routes: Sequence[Route], now: float) -> float:
    """Return when the first of these routes accepts requests again; `now` if one does."""
    return min(route.breaker.blocked_until(now) for route in routes)


def rate_limited_error(routes: Sequence[Route], now: float) -> errors.RateLimitedError:
    """Return the error for a request that none of these routes accepts yet."""
    wait_s = unblocked_at(routes, now) - now
    return errors.RateLimitedError(
        f"every transport is rate limited; next try in {math.ceil(wait_s)} s", wait_s
    )
