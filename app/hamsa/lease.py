"""A lease of a socket, and the requests that wait for one."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from app import errors
from app.hamsa.connection import Connection
from app.hamsa.pool_state import PooledConnection, PoolState

PREFETCH_ACQUIRE_TIMEOUT_S = 2.0
"""Longest wait of a prefetch for a socket: the time in which the provider makes the sentence before
it (`docs/hamsa.md`, Timing)."""

Spawn = Callable[[Coroutine[None, None, None], str], asyncio.Task[None] | None]
"""Runs a coroutine as a task of the pool, under this name. None when the pool is closed."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The time limits of the pool, in seconds. The settings `HAMSA_…` explain the first five."""

    acquire_timeout_s: float = 20.0
    """Longest wait for a socket."""
    linger_s: float = 0.3
    """How long a socket is watched for trailing audio."""
    drain_timeout_s: float = 15.0
    """Longest reading of an abandoned stream."""
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 10.0
    throttle_penalty_s: float = 1.0
    """First pause in opening sockets after a sign of throttling.

    It doubles with each further sign, since one truncated stream may be bad luck.
    """


class Lease:
    """The right to use one socket for one request."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reused = connection.requests > 0
        """Whether the socket carried a request before this one."""


class PendingLease(asyncio.Future[PooledConnection]):
    """A request that waits for a socket. Its result is the socket that it gets.

    `PoolState` reads the two flags; its `Waiter` explains them.
    """

    def __init__(self, *, allow_connect: bool, is_needed_now: bool) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.allow_connect = allow_connect
        self.is_needed_now = is_needed_now


class LeaseQueue:
    """Lets requests wait for a socket of `state`.

    `on_change` is called when there is a new request, or a free socket, so that the pool decides.
    """

    def __init__(self, state: PoolState, *, spawn: Spawn, on_change: Callable[[], None]) -> None:
        self._state = state
        self._spawn = spawn
        self._on_change = on_change

    async def acquire(
        self, timeout_s: float, *, allow_connect: bool, needed_now: asyncio.Event | None
    ) -> PooledConnection:
        """Wait for a socket; `ConnectionPool.lease` explains the arguments.

        A prefetch may wait longer than `timeout_s`, since no user waits for it. When it is needed,
        `_promote` shortens its wait.
        """
        is_prefetch = needed_now is not None and not needed_now.is_set()
        pending = PendingLease(
            allow_connect=allow_connect and not is_prefetch, is_needed_now=not is_prefetch
        )
        self._state.waiters.append(pending)
        self._on_change()
        is_promotable = is_prefetch and allow_connect
        longest_s = max(timeout_s, PREFETCH_ACQUIRE_TIMEOUT_S) if is_promotable else timeout_s
        self._fail_if_hopeless(pending, longest_s)
        promotion: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(longest_s) as limit:
                if is_promotable and needed_now is not None and not pending.done():
                    promotion = self._spawn(
                        self._promote(pending, needed_now, limit, timeout_s), "hamsa-promote"
                    )
                return await pending
        except BaseException as error:
            self._withdraw(pending)
            if isinstance(error, TimeoutError):
                raise errors.PoolExhaustedError(
                    f"no socket became free within {timeout_s} s: {self._state}"
                ) from None
            raise
        finally:
            if promotion is not None:
                promotion.cancel()

    def _fail_if_hopeless(self, pending: PendingLease, timeout_s: float) -> None:
        """Raise `PoolExhaustedError` at once if waiting is in vain: another transport may serve."""
        now = asyncio.get_running_loop().time()
        if not pending.done() and self._state.cannot_be_served_within(now, timeout_s):
            pending.cancel()
            raise errors.PoolExhaustedError(
                f"no socket can become free within {timeout_s} s: {self._state}"
            )

    def _withdraw(self, pending: PendingLease) -> None:
        """Give up a request, and free the socket that it may have got at the same moment."""
        if pending.done() and not pending.cancelled() and pending.exception() is None:
            self._state.make_idle(pending.result(), asyncio.get_running_loop().time())
            self._on_change()
        pending.cancel()

    async def _promote(
        self,
        pending: PendingLease,
        needed_now: asyncio.Event,
        limit: asyncio.Timeout,
        timeout_s: float,
    ) -> None:
        """Turn a prefetch into a request like any other as soon as it is needed.

        A socket may then be opened for it. From then on it waits for `timeout_s` at most.
        """
        await needed_now.wait()
        pending.allow_connect = pending.is_needed_now = True
        needed_limit = asyncio.get_running_loop().time() + timeout_s
        if not limit.expired():
            limit.reschedule(min(needed_limit, limit.when() or needed_limit))
        self._on_change()
