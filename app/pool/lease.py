"""A lease of a socket, and the requests that wait for one."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic

from app import errors
from app.pool.connection import C
from app.pool.pool_state import PooledConnection, PoolState, Waiter
from app.pool.terms import LeaseTerms
from app.pool.waiter_queue import WaiterQueue

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


class Lease(Generic[C]):
    """The right to use one socket for one request."""

    def __init__(self, connection: C) -> None:
        self.connection = connection
        self.reused = connection.requests > 0
        """Whether the socket carried a request before this one."""


class PendingLease(asyncio.Future[PooledConnection[C]], Generic[C]):
    """A request that waits for a socket in `waiters`. Its result is the socket that it gets."""

    def __init__(self, waiters: WaiterQueue[Waiter[C]]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._waiters = waiters

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up. Leaves the queue at once: no socket may be given, or opened, for this one."""
        self._waiters.remove(self)
        return super().cancel(msg)


class LeaseQueue(Generic[C]):
    """Lets requests wait for a socket of `state`.

    `on_change` is called after a new request, or a freed socket: the pool then decides again.
    """

    def __init__(self, state: PoolState[C], *, on_change: Callable[[], None]) -> None:
        self._state = state
        self._on_change = on_change

    async def acquire(self, timeout_s: float, terms: LeaseTerms) -> PooledConnection[C]:
        """Wait for a socket for `timeout_s` seconds; `ConnectionPool.lease` explains the terms.

        A prefetch may wait longer, since no user waits for it yet. When one does, its wait is
        shortened.
        """
        is_needed_now = terms.urgency.is_needed_now
        pending: PendingLease[C] = PendingLease(self._state.waiters)
        self._state.waiters.add(
            pending,
            is_needed_now=is_needed_now,
            allow_connect=terms.allow_connect and is_needed_now,
        )
        self._on_change()
        if pending.done():
            return pending.result()
        is_promotable = not is_needed_now and terms.allow_connect
        longest_s = max(timeout_s, terms.prefetch_timeout_s) if is_promotable else timeout_s
        self._fail_if_unservable(pending, longest_s)
        try:
            async with asyncio.timeout(longest_s) as limit:

                def promote() -> None:
                    self._promote(pending, limit, timeout_s)

                with terms.urgency.notifying(promote) if is_promotable else nullcontext():
                    return await pending
        except BaseException as error:
            self._withdraw(pending)
            if isinstance(error, TimeoutError):
                raise errors.PoolExhaustedError(
                    f"no socket became free within {timeout_s} s: {self._state}"
                ) from None
            raise

    def _fail_if_unservable(self, pending: PendingLease[C], timeout_s: float) -> None:
        """Raise `PoolExhaustedError` at once if waiting is in vain: another transport may serve."""
        now = asyncio.get_running_loop().time()
        if self._state.cannot_be_served_within(now, timeout_s):
            pending.cancel()
            raise errors.PoolExhaustedError(
                f"no socket can become free within {timeout_s} s: {self._state}"
            )

    def _withdraw(self, pending: PendingLease[C]) -> None:
        """Withdraw a request, and free the socket that it may just have been given."""
        if pending.done() and not pending.cancelled() and pending.exception() is None:
            self._state.make_idle(pending.result(), asyncio.get_running_loop().time())
            self._on_change()
        pending.cancel()

    def _promote(self, pending: PendingLease[C], limit: asyncio.Timeout, timeout_s: float) -> None:
        """Turn a prefetch into a request like any other, as it is needed now.

        A socket may then be opened for it. From now on it waits for `timeout_s` at most.
        """
        self._state.waiters.promote(pending)
        needed_limit = asyncio.get_running_loop().time() + timeout_s
        if not limit.expired():
            limit.reschedule(min(needed_limit, limit.when() or needed_limit))
        self._on_change()
