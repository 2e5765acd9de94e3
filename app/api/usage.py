"""How much clients may use: sessions, turns and characters, per process, key and address."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.limits import RateLimitItem
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.api.access import Grant
from app.api.origins import is_loopback
from app.api.unsent import ClientBacklog
from app.errors import AccessDeniedError, UsageLimitError
from app.telemetry.counts import counter_metric

RETRY_AFTER_S = 10
"""When a client may come back that found the gateway full: a call or two end in this time."""

MINUTE_S = 60

LIMITS = (
    *("too-many-sessions", "too-many-sessions-of-key", "too-many-sessions-of-address"),
    *("too-many-new-sessions", "turns-per-minute", "turns-per-day"),
    *("characters-per-minute", "characters-per-day"),
)
"""What metrics call them."""


@dataclass(frozen=True, slots=True)
class UsageLimits:
    """The bounds; 0 means none. The settings of the same names explain each."""

    sessions: int = 1000
    sessions_per_key: int = 0
    sessions_per_address: int = 100
    new_sessions_per_minute: int = 120
    turns_per_minute: int = 0
    turns_per_day: int = 0
    chars_per_minute: int = 0
    chars_per_day: int = 0


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts, in seconds; the settings of the same names explain both."""

    idle_timeout_s: float = 900.0
    max_s: float = 14_400.0


class SessionQuota:
    """What one session may use: the quota of its key or address."""

    def __init__(self, usage: "Usage", grant: Grant, backlog: ClientBacklog) -> None:
        self._usage = usage
        self._grant = grant
        self.hold_audio = backlog.hold_audio

    async def take_turn(self) -> None:
        """Count a turn. Raises `UsageLimitError` when there were too many."""
        await self._usage.take_turn(self._grant)

    async def take_chars(self, chars: int) -> None:
        """Count characters that are to be spoken. Raises `UsageLimitError` when too many were."""
        await self._usage.take_chars(self._grant, chars)


class Usage:
    """Counts what clients use, by a sliding window that costs the same for any number."""

    def __init__(self, limits: UsageLimits) -> None:
        self._limits = limits
        self._sessions = 0
        self._per_key: Counter[str] = Counter()
        self._per_address: Counter[str] = Counter()
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.refused: Counter[str] = Counter()
        """Refusals by the code of the limit; for metrics."""

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return self._sessions

    @property
    def is_full(self) -> bool:
        """Whether as many sessions are open as may be."""
        return 0 < self._limits.sessions <= self._sessions

    @asynccontextmanager
    async def session(self, grant: Grant) -> AsyncIterator[None]:
        """Count an open session. Raises `AccessDeniedError` when no more may be opened."""
        self.check(grant)
        self._sessions += 1
        self._per_key[grant.subject] += 1
        self._per_address[grant.address] += 1
        try:
            await self._check_rate(grant)
            yield
        finally:
            self._sessions -= 1
            _release(self._per_key, grant.subject)
            _release(self._per_address, grant.address)

    def check(self, grant: Grant) -> None:
        """Raise `AccessDeniedError` when the gateway, key or address has no session left."""
        limits = self._limits
        if self.is_full:
            raise self._denied(503, "too-many-sessions", "the gateway is full", RETRY_AFTER_S)
        of_key = 0 if grant.is_anonymous else self._per_key[grant.subject]
        if 0 < limits.sessions_per_key <= of_key:
            text = "this key has too many sessions"
            raise self._denied(429, "too-many-sessions-of-key", text, RETRY_AFTER_S)
        of_address = 0 if _is_this_machine(grant) else self._per_address[grant.address]
        if 0 < limits.sessions_per_address <= of_address:
            text = "this address has too many sessions"
            raise self._denied(429, "too-many-sessions-of-address", text, RETRY_AFTER_S)

    async def _check_rate(self, grant: Grant) -> None:
        amount = self._limits.new_sessions_per_minute
        if not amount or _is_this_machine(grant):
            return
        if not await self._windows.hit(RateLimitItemPerMinute(amount), "sessions", grant.address):
            text = "this address opens sessions too fast"
            raise self._denied(429, "too-many-new-sessions", text, MINUTE_S)

    async def take_turn(self, grant: Grant) -> None:
        """Count a turn. Raises `UsageLimitError` when there were too many."""
        await self._take(
            grant,
            1,
            (
                ("turns", RateLimitItemPerMinute, self._limits.turns_per_minute),
                ("turns", RateLimitItemPerDay, self._limits.turns_per_day),
            ),
        )

    async def take_chars(self, grant: Grant, chars: int) -> None:
        """Count characters that are to be spoken. Raises `UsageLimitError` when too many were."""
        await self._take(
            grant,
            chars,
            (
                ("characters", RateLimitItemPerMinute, self._limits.chars_per_minute),
                ("characters", RateLimitItemPerDay, self._limits.chars_per_day),
            ),
        )

    async def _take(
        self, grant: Grant, cost: int, bounds: tuple[tuple[str, type[RateLimitItem], int], ...]
    ) -> None:
        owner = grant.address if grant.is_anonymous else grant.subject
        for what, item, amount in bounds:
            if amount and not await self._windows.hit(item(amount), what, owner, cost=cost):
                period = "minute" if item is RateLimitItemPerMinute else "day"
                self.refused[f"{what}-per-{period}"] += 1
                raise UsageLimitError(f"more than {amount} {what} in a {period}")

    def _denied(self, status: int, code: str, text: str, retry_after_s: int) -> AccessDeniedError:
        self.refused[code] += 1
        return AccessDeniedError(text, status=status, code=code, retry_after_s=retry_after_s)


class UsageCollector(Collector):
    """Shows refusals by limit to Prometheus."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """Read the state of this moment."""
        yield counter_metric(
            "nabra_limit_refusals",
            "Sessions and turns that a limit refused",
            ["limit"],
            self._usage.refused,
            known=LIMITS,
        )


def _is_this_machine(grant: Grant) -> bool:
    """Tell whether a client is on this machine, or behind a proxy that TRUSTED_PROXIES lacks."""
    return is_loopback(grant.address)


def _release(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if not counter[name]:
        del counter[name]
