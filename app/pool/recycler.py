"""What becomes of a socket when its lease ends."""

import asyncio
from collections.abc import Callable
from typing import Generic

from app import errors
from app.pool.connection import C
from app.pool.lease import PoolLimits, Spawn
from app.pool.pool_state import ConnectionState, PooledConnection, PoolState


class DiscardSink:
    """Drops the trailing audio of an abandoned stream."""

    def put(self, data: bytes) -> None:
        """Drop a chunk."""

    def close(self) -> None:
        """Do nothing: no one waits for this audio."""


class ConnectionRecycler(Generic[C]):
    """Makes sockets idle again: at once, after a linger, or after draining. Closes the others.

    `on_change` is called when a socket has become idle or is gone: the pool then decides again.
    """

    def __init__(
        self,
        state: PoolState[C],
        limits: PoolLimits,
        *,
        spawn: Spawn,
        on_change: Callable[[], None],
    ) -> None:
        self._state = state
        self._limits = limits
        self._spawn = spawn
        self._on_change = on_change

    def release(self, pooled: PooledConnection[C], connection: C, *, failed: bool) -> None:
        """Take a socket back after its request.

        Synchronous, so that no cancellation interrupts it: what takes time is done by tasks.
        """
        if failed or not connection.is_open:
            self.discard(pooled)
        elif connection.in_flight:
            self._state.move(pooled, ConnectionState.DRAINING)
            self._spawn(self._drain(pooled, connection), "drain")
        elif connection.trailing is None:
            self.make_idle(pooled)
        else:
            self._state.begin_linger(pooled)
            self._spawn(self._linger(pooled, connection), "linger")
        self._on_change()

    def make_idle(self, pooled: PooledConnection[C]) -> None:
        """Mark a socket as free."""
        self._state.make_idle(pooled, asyncio.get_running_loop().time())

    def discard(self, pooled: PooledConnection[C]) -> None:
        """Remove a socket from the pool and have it closed."""
        self._state.remove(pooled)
        if pooled.connection is not None:
            pooled.connection.close_trailing()
            self._spawn(pooled.connection.close(), "close")

    def cancel_linger(self, pooled: PooledConnection[C]) -> None:
        """End the linger now, as `PoolState` decided: a request waits for this socket."""
        if pooled.linger is not None and not pooled.linger.expired():
            pooled.linger.reschedule(asyncio.get_running_loop().time())

    async def _linger(self, pooled: PooledConnection[C], connection: C) -> None:
        """Watch for trailing audio until `linger_s` is over or the linger is cancelled.

        It may be cancelled before this task has run, hence the flag beside the timeout. A sink
        whose linger was cancelled stays open: the next request's `ack` closes it.
        """
        linger_s = 0 if pooled.linger_cancelled else self._limits.linger_s
        try:
            async with asyncio.timeout(linger_s) as pooled.linger:
                while True:
                    await connection.receive()
        except TimeoutError:
            if not pooled.linger_cancelled and connection.trailing is not None:
                # The wait for trailing audio ends. The sink stays attached: audio that comes later
                # does not belong to the next request either.
                connection.trailing.close()
            self.make_idle(pooled)
        except errors.ProviderError:
            self.discard(pooled)
        self._on_change()

    async def _drain(self, pooled: PooledConnection[C], connection: C) -> None:
        """Read an abandoned stream to its end, so that its socket can serve the next request.

        There is no message that cancels a request, and a new socket costs a handshake and one of
        few permits. The linger afterwards is for trailing audio, which an abandoned stream can
        have like any other.
        """
        try:
            async with asyncio.timeout(self._limits.drain_timeout_s):
                while connection.in_flight:
                    await connection.receive()
        except (TimeoutError, errors.ProviderError):
            self.discard(pooled)
            self._on_change()
        else:
            connection.close_trailing()
            connection.trailing = DiscardSink()
            self._state.begin_linger(pooled)
            self._on_change()
            await self._linger(pooled, connection)
