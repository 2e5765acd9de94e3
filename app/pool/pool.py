"""A pool of sockets of one provider, which TTS and STT of all sessions share.

A lease is exclusive and lasts for one request. `PoolState` decides which request gets which socket,
`LeaseQueue` lets requests wait, `ConnectionRecycler` takes sockets back. This module opens sockets
and owns all tasks.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Generic

import structlog

from app import errors
from app.pool.connection import C
from app.pool.lease import Lease, LeaseQueue, PoolLimits
from app.pool.pool_state import PooledConnection, PoolState
from app.pool.recycler import ConnectionRecycler
from app.pool.terms import LeaseTerms
from app.telemetry.availability import Availability

log = structlog.get_logger(__name__)

MAX_THROTTLE_PENALTY_S = 20.0
"""Longest pause in opening sockets after signs of throttling: the window in which throttling was
seen (`docs/hamsa.md`, Opening sockets too quickly)."""


class ConnectionPool(Generic[C]):
    """Leases sockets, which `open_connection` opens within the budget of `state`.

    `name` begins the names of its tasks. `host` is where they lead, for the log.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[C]],
        state: PoolState[C],
        limits: PoolLimits,
        *,
        name: str = "pool",
        host: str | None = None,
    ) -> None:
        self.name = name
        self._host = host
        self._open_connection = open_connection
        self._state = state
        self._limits = limits
        self._queue = LeaseQueue(state, on_change=self._schedule)
        self._recycler = ConnectionRecycler(
            state, limits, spawn=self._spawn, on_change=self._schedule
        )
        self._penalty_s = limits.throttle_penalty_s
        self._wake = asyncio.Event()
        self._wake_at: float | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._runner: asyncio.Task[None] | None = None
        self._context = contextvars.Context()
        """Of the pool's tasks: they serve all sessions, and log for none."""
        self.opened = 0
        """Number of sockets opened since the start."""
        self._availability = Availability(
            "no socket could be opened", "sockets work again", pool=name
        )
        self.open_error: errors.ProviderError | None = None
        """Why the last socket that was tried could not be opened; None when it could."""

    def __repr__(self) -> str:
        return f"<ConnectionPool {self._state}>"

    @property
    def acquire_timeout_s(self) -> float:
        """Longest wait for a socket, in seconds, unless a request has its own limit."""
        return self._limits.acquire_timeout_s

    @property
    def is_usable(self) -> bool:
        """Whether a socket is open, or the last one that was tried could be opened."""
        return self.open_error is None or any(
            pooled.connection is not None and pooled.connection.is_open
            for pooled in self._state.connections
        )

    @property
    def is_refused(self) -> bool:
        """Whether the provider refuses the account, and so every request of any kind."""
        return not self.is_usable and isinstance(self.open_error, errors.ACCOUNT_ERRORS)

    def counts(self) -> dict[str, int]:
        """Return the number of sockets in each state, and of requests that wait for one."""
        return self._state.counts()

    def openings_left(self, now: float) -> int:
        """Return how many sockets the budget lets be opened now."""
        return self._state.budget.openings_left(now)

    async def start(self) -> None:
        """Begin to serve leases."""
        started = asyncio.Event()
        self._context = contextvars.copy_context()
        self._runner = asyncio.create_task(self._run(started), name=f"{self.name}-pool")
        await started.wait()

    async def aclose(self) -> None:
        """Close all sockets and end all tasks. Requests that wait fail with `ConnectError`."""
        if self._runner is None:
            return
        for waiter in self._state.waiters.pop_all():
            waiter.set_exception(errors.ConnectError("the gateway is shutting down"))
        runner, self._runner, self._tasks = self._runner, None, None  # from now on, no new task
        runner.cancel()
        await asyncio.wait([runner])
        pooled = self._state.connections
        connections = [each.connection for each in pooled if each.connection is not None]
        self._state.clear()
        await asyncio.gather(*(connection.close() for connection in connections))

    def warm_up(self, connections: int = 1) -> None:
        """Open sockets ahead of need, within the budget, until `connections` are free."""
        self._state.warm_target = max(self._state.warm_target, connections)
        self._schedule()

    def retry_open(self) -> None:
        """Open a socket ahead of need, if the last one that was tried could not be opened."""
        if not self.is_usable:
            self.warm_up()

    @asynccontextmanager
    async def lease(self, terms: LeaseTerms | None = None) -> AsyncIterator[Lease[C]]:
        """Lease a socket for one request, on these terms; by default it is needed now.

        No socket is opened for the request without `allow_connect`, nor before it is needed. It
        then gets one that is open, or none.

        Raises `PoolExhaustedError` when no socket becomes free in time, or the error for which
        none could be opened.

        Leaving the context returns the socket. After a complete stream it is used again. A stream
        that was abandoned is drained first. After a failure the socket is closed, unless the error
        is final: a refusal is a regular response, and its socket is sound.
        """
        if self._tasks is None:
            raise errors.ConnectError("the connection pool is not running")
        terms = terms or LeaseTerms()
        timeout_s = terms.timeout_s
        with terms.waiting():
            pooled = await self._queue.acquire(
                self.acquire_timeout_s if timeout_s is None else timeout_s, terms
            )
        assert pooled.connection is not None
        lease = Lease(pooled.connection)
        terms.reused = lease.reused
        log.info(
            "Reusing existing connection" if lease.reused else "Using new connection",
            socket=lease.connection.number,
        )
        try:
            yield lease
        except errors.ProviderError as error:
            error.host = error.host or self._host
            if isinstance(error, errors.IncompleteAudioError) and not lease.reused:
                self._penalize()  # before the release, which opens a socket for a waiting request
            self._release(pooled, lease, failed=error.retryable)
            raise
        except BaseException:
            self._release(pooled, lease, failed=False)
            raise
        else:
            self._release(pooled, lease, failed=False)
            self._penalty_s = self._limits.throttle_penalty_s
            self._availability.on_success()  # not before: a wrong key is accepted at first

    def _release(self, pooled: PooledConnection[C], lease: Lease[C], *, failed: bool) -> None:
        if self._tasks is not None:  # otherwise the pool was closed meanwhile, and the socket too
            self._recycler.release(pooled, lease.connection, failed=failed)

    def _penalize(self, for_s: float | None = None) -> None:
        """Open no socket for `for_s` seconds, or for the penalty, which doubles each time."""
        now = asyncio.get_running_loop().time()
        self._state.budget.penalize(now, for_s or self._penalty_s)
        self._penalty_s = min(2 * self._penalty_s, MAX_THROTTLE_PENALTY_S)

    def _schedule(self) -> None:
        """Decide which request gets which socket, and start what was decided.

        Called after every change. It is synchronous, so that decisions cannot overlap.
        """
        if self._tasks is None:
            return
        actions = self._state.assign(asyncio.get_running_loop().time())
        for pooled in actions.to_close:
            self._recycler.discard(pooled)
        for pooled in actions.to_open:
            self._spawn(self._open(pooled), "open")
        for pooled in actions.to_cancel_linger:
            self._recycler.cancel_linger(pooled)
        # A later time, or none, does not wake the task: it finds that out at the time that is set.
        if actions.wake_at is not None and (
            self._wake_at is None or actions.wake_at < self._wake_at
        ):
            self._wake_at = actions.wake_at
            self._wake.set()

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None] | None:
        """Run a task of the pool, whose lines are not those of whoever happens to be served."""
        if self._tasks is None:
            work.close()
            return None
        context = self._context.copy()
        return self._tasks.create_task(work, name=f"{self.name}-{name}", context=context)

    async def _run(self, started: asyncio.Event) -> None:
        """Own all tasks of the pool, and decide again at `_wake_at`.

        Time alone can change a decision: the budget gets a permit back, a socket has been idle
        for too long.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            started.set()
            while True:
                self._wake.clear()
                try:
                    async with asyncio.timeout_at(self._wake_at):
                        await self._wake.wait()
                except TimeoutError:
                    self._wake_at = None
                    self._schedule()

    async def _open(self, pooled: PooledConnection[C]) -> None:
        """Open a socket and keep it alive until it closes.

        The provider accepts the handshake even with a wrong key, and closes the socket with a code
        that says so. That is a failed opening.
        """
        try:
            connection = await self._open_connection()
            if not connection.is_open:
                await connection.close()
                raise connection.close_error
        except errors.ProviderError as error:
            self._on_open_failed(pooled, error)
            return
        self.opened += 1
        self.open_error = None
        log.info("Creating new persistent connection", socket=connection.number)
        pooled.connection = connection
        self._recycler.make_idle(pooled)
        self._schedule()
        await connection.keep_alive(
            interval_s=self._limits.ping_interval_s, timeout_s=self._limits.ping_timeout_s
        )
        if self._state.is_idle(pooled):  # in use, its request finds out
            self._recycler.discard(pooled)
        self._schedule()

    def _on_open_failed(self, pooled: PooledConnection[C], error: errors.ProviderError) -> None:
        """Fail the request that the socket was for, or all when the error is final.

        A throttled handshake says nothing about the open sockets. So `Retry-After` holds for
        opening alone as long as there are any, and is not passed on to the requests.
        """
        error.host = error.host or self._host
        self._availability.on_failure(error)
        self.open_error = error
        self._state.remove(pooled)
        if isinstance(error, errors.RateLimitedError):
            self._penalize(error.retry_after_s)
            if self._state.connections:
                error = errors.RateLimitedError(str(error))
                error.host = self._host
        for waiter in self._state.waiters_to_fail(is_final=not error.retryable):
            waiter.set_exception(error)
        self._schedule()
