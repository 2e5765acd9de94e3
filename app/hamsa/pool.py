"""The process-wide pool of sockets: text-to-speech and speech-to-text of all sessions share it.

A lease is exclusive and lasts one request. `slots.py` decides; this module does the I/O. Giving
back is synchronous, so that no cancellation can interrupt it: the pool's own tasks close, drain
and watch for late audio.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

import structlog

from app import errors
from app.hamsa.connection import Connection
from app.hamsa.lease import DiscardSink, Lease, PoolLimits, Waiter
from app.hamsa.pool_state import ConnectionState, PooledConnection, PoolState

log = structlog.get_logger(__name__)

PREFETCH_ACQUIRE_TIMEOUT_S = 2.0
"""How long a request that is made ahead waits for a socket: the one before it takes so long."""

MAX_THROTTLE_PENALTY_S = 20.0
"""Longest pause without openings that throttling can cost: the window in which it was seen."""


class ConnectionPool:
    """Leases sockets, opened within a budget by `open_connection`."""

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        slots: PoolState,
        limits: PoolLimits,
    ) -> None:
        self._open_connection = open_connection
        self._slots = slots
        self._limits = limits
        self.lease_timeout_s = limits.lease_timeout_s
        self._penalty_s = limits.throttle_penalty_s
        self._wake = asyncio.Event()
        self._wake_at: float | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._runner: asyncio.Task[None] | None = None
        self.opened = 0
        """How many sockets were opened since the start."""

    def __repr__(self) -> str:
        return f"<ConnectionPool {self._slots}>"

    def counts(self) -> dict[str, int]:
        """Count the sockets in each state, and the requests that wait for one."""
        return self._slots.counts()

    async def start(self) -> None:
        """Begin to serve leases."""
        started = asyncio.Event()
        self._runner = asyncio.create_task(self._run(started), name="hamsa-pool")
        await started.wait()

    async def aclose(self) -> None:
        """Close all sockets and end all tasks; whoever waits learns `ConnectError`."""
        if self._runner is None:
            return
        while (waiter := self._slots.next_waiter()) is not None:
            waiter.set_exception(errors.ConnectError("the gateway is shutting down"))
        runner, self._runner, self._tasks = self._runner, None, None  # from now on, no new task
        runner.cancel()
        await asyncio.wait([runner])
        connections = [slot.connection for slot in self._slots.slots if slot.connection]
        self._slots.slots.clear()
        await asyncio.gather(*(connection.close() for connection in connections))

    def warm_up(self, connections: int = 1) -> None:
        """Open sockets ahead of need, within the budget, until so many are free."""
        self._slots.warm = max(self._slots.warm, connections)
        self._schedule()

    @asynccontextmanager
    async def lease(
        self,
        timeout_s: float | None = None,
        *,
        allow_connect: bool = True,
        needed_now: asyncio.Event | None = None,
    ) -> AsyncIterator[Lease]:
        """Lease a socket for one request, within `timeout_s` or the pool's own limit.

        Unless it `may_open`, and before it is `due`, no socket is opened for it: it takes one that
        is there.
        Raises `PoolExhaustedError` when none comes free in time, or why none could be opened.
        Leaving the context decides what becomes of the socket: after a clean end it serves on,
        abandoned in mid-answer it drains first, after a failure it is closed.
        """
        slot = await self._acquire(
            self.lease_timeout_s if timeout_s is None else timeout_s,
            allow_connect=allow_connect,
            needed_now=needed_now,
        )
        assert slot.connection is not None
        lease = Lease(slot.connection)
        if lease.reused:
            log.info("Reusing existing connection", socket=slot.connection.number)
        try:
            yield lease
        except errors.ProviderError as error:
            if isinstance(error, errors.IncompleteAudioError) and not lease.reused:
                self._penalize()  # first: giving back opens a socket for whoever waits
            # A final refusal is a regular answer: the socket that brought it is sound.
            self._give_back(slot, failed=error.retryable)
            raise
        except BaseException:
            self._give_back(slot, failed=False)
            raise
        else:
            self._give_back(slot, failed=False)
            self._penalty_s = self._limits.throttle_penalty_s

    async def _acquire(
        self, timeout_s: float, *, allow_connect: bool, needed_now: asyncio.Event | None
    ) -> PooledConnection:
        if self._tasks is None:
            raise errors.ConnectError("the connection pool is not running")
        waiter = Waiter(loop=asyncio.get_running_loop())
        waiter.is_needed_now = needed_now is None or needed_now.is_set()
        waiter.allow_connect = allow_connect and waiter.is_needed_now
        self._slots.waiters.append(waiter)
        self._schedule()
        promotion: asyncio.Task[None] | None = None
        now = asyncio.get_running_loop().time()
        is_prefetch = allow_connect and not waiter.is_needed_now
        acquire_timeout_s = max(timeout_s, PREFETCH_ACQUIRE_TIMEOUT_S) if is_prefetch else timeout_s
        if not waiter.done() and self._slots.cannot_be_served_within(now, acquire_timeout_s):
            waiter.cancel()
            raise errors.PoolExhaustedError(f"no socket can come free: {self!r}")
        try:
            async with asyncio.timeout(acquire_timeout_s) as limit:
                if is_prefetch and needed_now is not None and not waiter.done():
                    promotion = self._tasks.create_task(
                        self._promote(waiter, needed_now, limit, timeout_s), name="hamsa-due"
                    )
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._make_idle(waiter.result())
                self._schedule()
            waiter.cancel()
            if isinstance(error, TimeoutError):
                raise errors.PoolExhaustedError(
                    f"no socket came free within {timeout_s} s: {self!r}"
                ) from None
            raise
        finally:
            if promotion is not None:
                promotion.cancel()

    async def _promote(
        self, waiter: Waiter, needed_now: asyncio.Event, limit: asyncio.Timeout, timeout_s: float
    ) -> None:
        """Let a socket be opened for a request once it is due; from then on its patience counts."""
        await needed_now.wait()
        waiter.allow_connect = waiter.is_needed_now = True
        needed_limit = asyncio.get_running_loop().time() + timeout_s
        if not limit.expired():
            limit.reschedule(min(needed_limit, limit.when() or needed_limit))
        self._schedule()

    def _give_back(self, slot: PooledConnection, *, failed: bool) -> None:
        connection = slot.connection
        if connection is None or self._tasks is None:
            return  # the pool was closed meanwhile, and the socket with it
        if failed or not connection.is_open:
            self._discard(slot)
        elif connection.in_flight:
            slot.state = ConnectionState.DRAINING
            self._spawn(self._drain(slot, connection), "hamsa-drain")
        elif connection.trailing is None:
            self._make_idle(slot)
        else:
            slot.state, slot.linger_cancelled = ConnectionState.LINGERING, False
            self._spawn(self._linger(slot, connection), "hamsa-linger")
        self._schedule()

    def _penalize(self, for_s: float | None = None) -> None:
        """Open no socket for a while: the provider has shown that it throttles."""
        now = asyncio.get_running_loop().time()
        self._slots.budget.penalize(now, for_s or self._penalty_s)
        self._penalty_s = min(2 * self._penalty_s, MAX_THROTTLE_PENALTY_S)

    def _make_idle(self, slot: PooledConnection) -> None:
        self._slots.make_idle(slot, asyncio.get_running_loop().time())

    def _discard(self, slot: PooledConnection) -> None:
        self._slots.remove(slot)
        if slot.connection is not None:
            slot.connection.close_trailing()
            self._spawn(slot.connection.close(), "hamsa-close")

    def _schedule(self) -> None:
        """Decide, and set in motion what was decided."""
        if self._tasks is None:
            return
        loop = asyncio.get_running_loop()
        actions = self._slots.assign(loop.time())
        for slot in actions.closed:
            self._discard(slot)
        for slot in actions.opened:
            self._spawn(self._open(slot), "hamsa-open")
        for slot in actions.linger_cancelled:
            slot.linger_cancelled = True
            if slot.linger is not None and not slot.linger.expired():
                slot.linger.reschedule(loop.time())
        if actions.wake_at != self._wake_at:
            self._wake_at = actions.wake_at
            self._wake.set()

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        if self._tasks is None:
            work.close()
        else:
            self._tasks.create_task(work, name=name)

    async def _run(self, started: asyncio.Event) -> None:
        """Own all tasks of the pool, and decide again when the budget's window moves on."""
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

    async def _open(self, slot: PooledConnection) -> None:
        """Open a socket and keep it alive until it closes."""
        try:
            connection = await self._open_connection()
            if not connection.is_open:
                await connection.close()
                raise connection.closed_with  # a refused key is told by the close code
        except errors.ProviderError as error:
            self._opening_failed(slot, error)
            return
        self.opened += 1
        log.info("Creating new persistent connection", socket=connection.number)
        slot.connection = connection
        self._make_idle(slot)
        self._schedule()
        await connection.keep_alive(
            interval_s=self._limits.ping_interval_s, timeout_s=self._limits.ping_timeout_s
        )
        self._schedule()

    def _opening_failed(self, slot: PooledConnection, error: errors.ProviderError) -> None:
        """Tell the waiter that it was for, or all when the reason is final for the account."""
        log.warning("no socket could be opened", code=error.code, reason=str(error))
        self._slots.remove(slot)
        if isinstance(error, errors.RateLimitedError):
            self._penalize(error.retry_after_s)
            if self._slots.slots:  # it holds for opening: those that are there still serve
                error = errors.RateLimitedError(str(error))
        for waiter in self._slots.waiters_to_tell(everybody=not error.retryable):
            waiter.set_exception(error)
        self._schedule()

    async def _linger(self, slot: PooledConnection, connection: Connection) -> None:
        """Watch for late audio, until none is expected or somebody waits for the socket."""
        try:
            async with asyncio.timeout(
                0 if slot.linger_cancelled else self._limits.linger_s
            ) as slot.linger:
                while True:
                    await connection.receive()
        except TimeoutError:
            if not slot.linger_cancelled and connection.trailing is not None:
                # Nobody waits any longer, but what comes all the same is still not the next one's.
                connection.trailing.close()
            self._make_idle(slot)
        except errors.ProviderError:
            self._discard(slot)
        self._schedule()

    async def _drain(self, slot: PooledConnection, connection: Connection) -> None:
        """Read an abandoned answer to its own end, so that its socket can serve on."""
        try:
            async with asyncio.timeout(self._limits.drain_timeout_s):
                while connection.in_flight:
                    await connection.receive()
        except (TimeoutError, errors.ProviderError):
            self._discard(slot)
            self._schedule()
        else:
            connection.close_trailing()
            connection.trailing = DiscardSink()
            slot.state, slot.linger_cancelled = ConnectionState.LINGERING, False
            self._schedule()
            await self._linger(slot, connection)
