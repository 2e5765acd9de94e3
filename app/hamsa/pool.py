"""The process-wide pool of sockets: text-to-speech and speech-to-text of all sessions share it.

A lease is exclusive and lasts one request. `slots.py` decides; this module does the I/O. Giving
back is synchronous, so that no cancellation can interrupt it: the pool's own tasks close, drain
and watch for late audio.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from app import errors
from app.hamsa.connection import Connection
from app.hamsa.slots import Slot, Slots, State

log = structlog.get_logger(__name__)

THROTTLE_PENALTY_S = 5.0
"""How long no socket is opened after a 429 that names no time; a quarter of the known window."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The pool's bounds, in seconds; the settings of the same names explain them."""

    lease_timeout_s: float = 20.0
    linger_s: float = 0.3
    drain_timeout_s: float = 15.0
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 10.0


class Lease:
    """The right to use one socket for one request."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reused = connection.requests > 0


class ConnectionPool:
    """Leases sockets, opened within a budget by `open_connection`."""

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        slots: Slots,
        limits: PoolLimits,
    ) -> None:
        self._open_connection = open_connection
        self._slots = slots
        self._limits = limits
        self._wake = asyncio.Event()
        self._wake_at: float | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._runner: asyncio.Task[None] | None = None
        self.opened = 0
        """How many sockets were opened since the start."""

    def __repr__(self) -> str:
        return f"<ConnectionPool {self._slots}>"

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
        self._runner.cancel()
        await asyncio.wait([self._runner])
        self._runner = self._tasks = None
        connections = [slot.connection for slot in self._slots.slots if slot.connection]
        self._slots.slots.clear()
        await asyncio.gather(*(connection.close() for connection in connections))

    def warm_up(self, connections: int = 1) -> None:
        """Open sockets ahead of need, within the budget, until there are so many."""
        self._slots.warm = max(self._slots.warm, connections)
        self._pump()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Lease]:
        """Lease a socket for one request.

        Raises `PoolExhaustedError` when none comes free in time, or why none could be opened.
        Leaving the context decides what becomes of the socket: after a clean end it serves on,
        abandoned in mid-answer it drains first, after a failure it is closed.
        """
        slot = await self._acquire()
        assert slot.connection is not None
        lease = Lease(slot.connection)
        if lease.reused:
            log.info("Reusing existing connection", socket=slot.connection.number)
        try:
            yield lease
        except errors.ProviderError as error:
            # A final refusal is a regular answer: the socket that brought it is sound.
            self._give_back(slot, failed=error.retryable)
            raise
        except BaseException:
            self._give_back(slot, failed=False)
            raise
        else:
            self._give_back(slot, failed=False)

    async def _acquire(self) -> Slot:
        if self._tasks is None:
            raise errors.ConnectError("the connection pool is not running")
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._slots.waiters.append(waiter)
        self._pump()
        try:
            async with asyncio.timeout(self._limits.lease_timeout_s):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._slots.make_idle(waiter.result())
                self._pump()
            waiter.cancel()
            if isinstance(error, TimeoutError):
                raise errors.PoolExhaustedError(
                    f"no socket came free within {self._limits.lease_timeout_s} s: {self!r}"
                ) from None
            raise

    def _give_back(self, slot: Slot, *, failed: bool) -> None:
        connection = slot.connection
        if connection is None or self._tasks is None:
            return  # the pool was closed meanwhile, and the socket with it
        if failed or not connection.is_open:
            self._discard(slot)
        elif connection.in_flight:
            slot.state = State.DRAINING
            self._spawn(self._drain(slot, connection), "hamsa-drain")
        elif connection.late is None:
            self._slots.make_idle(slot)
        else:
            slot.state, slot.hurried = State.LINGERING, False
            self._spawn(self._linger(slot, connection), "hamsa-linger")
        self._pump()

    def _discard(self, slot: Slot) -> None:
        self._slots.remove(slot)
        if slot.connection is not None:
            slot.connection.end_late()
            self._spawn(slot.connection.close(), "hamsa-close")

    def _pump(self) -> None:
        """Decide, and set in motion what was decided."""
        if self._tasks is None:
            return
        loop = asyncio.get_running_loop()
        actions = self._slots.assign(loop.time())
        for slot in actions.closed:
            self._discard(slot)
        for slot in actions.opened:
            self._spawn(self._open(slot), "hamsa-open")
        for slot in actions.hurried:
            slot.hurried = True
            if slot.linger is not None:
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
                    self._pump()

    async def _open(self, slot: Slot) -> None:
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
        self._slots.make_idle(slot)
        self._pump()
        await connection.keep_alive(
            interval_s=self._limits.ping_interval_s, timeout_s=self._limits.ping_timeout_s
        )
        self._pump()

    def _opening_failed(self, slot: Slot, error: errors.ProviderError) -> None:
        """Tell the first waiter, or all of them when the reason is final for the account."""
        log.warning("no socket could be opened", code=error.code, reason=str(error))
        self._slots.remove(slot)
        if isinstance(error, errors.RateLimitedError):
            now = asyncio.get_running_loop().time()
            self._slots.budget.penalize(now, error.retry_after_s or THROTTLE_PENALTY_S)
        while (waiter := self._slots.next_waiter()) is not None:
            waiter.set_exception(error)
            if error.retryable:
                break
        self._pump()

    async def _linger(self, slot: Slot, connection: Connection) -> None:
        """Watch for late audio, until none is expected or somebody waits for the socket."""
        try:
            async with asyncio.timeout(0 if slot.hurried else self._limits.linger_s) as slot.linger:
                while True:
                    await connection.receive()
        except TimeoutError:
            if not slot.hurried:
                connection.end_late()
            self._slots.make_idle(slot)
        except errors.ProviderError:
            self._discard(slot)
        self._pump()

    async def _drain(self, slot: Slot, connection: Connection) -> None:
        """Read an abandoned answer to its own end, so that its socket can serve on."""
        try:
            async with asyncio.timeout(self._limits.drain_timeout_s):
                while connection.in_flight:
                    await connection.receive()
        except (TimeoutError, errors.ProviderError):
            self._discard(slot)
        else:
            self._slots.make_idle(slot)
        self._pump()
