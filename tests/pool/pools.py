"""Pools for tests: the real thing, with limits that suit a test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.hamsa import wire
from app.hamsa.connection import MAX_TRAILING_AUDIO_S, Connection
from app.pool.budget import ConnectBudget, SlidingWindowBudget
from app.pool.lease import PoolLimits
from app.pool.pool import ConnectionPool
from app.pool.pool_state import ConnectionState, PoolState
from tests.waiting import until

KEY = "secret-key-of-the-test"
UNREACHABLE_URL = "ws://127.0.0.1:9"

Open = Callable[[], Awaitable[Connection]]
"""Opens a socket as the gateway does; an `opener` decides whether, and what else happens."""


def pool_repr(**counts: int) -> str:
    """Return the `repr` of a pool with these counts and no other socket."""
    names = [*(state.name.lower() for state in ConnectionState), "waiting"]
    return f"<ConnectionPool {' '.join(f'{name}={counts.get(name, 0)}' for name in names)}>"


EMPTY = pool_repr()
ONE_IDLE = pool_repr(idle=1)


async def until_pool(pool: ConnectionPool[Connection], expected: str) -> None:
    """Wait for a state of the pool, given as its `repr`."""
    await until(lambda: repr(pool) == expected, state=pool)


async def until_waiting(pool: ConnectionPool[Connection]) -> None:
    """Wait until one request waits for a socket."""
    await until(lambda: pool.counts()["waiting"] == 1, state=pool)


async def frames_of_request(pool: ConnectionPool[Connection]) -> list[wire.Frame]:
    """Send a request over a leased socket, and return the frames of its response."""
    frames: list[wire.Frame] = []
    async with pool.lease() as lease:
        await lease.connection.send(b"{}")
        while lease.connection.in_flight:
            frames.append(await lease.connection.receive())
    return frames


@asynccontextmanager
async def running_pool(
    url: str,
    *,
    limit: int = 100,
    window_s: float = 20,
    max_connections: int = 8,
    max_age_s: float = 3300,
    connect_timeout_s: float = 5,
    acquire_timeout_s: float = 5,
    linger_s: float = 0.05,
    drain_timeout_s: float = 5,
    ping_interval_s: float = 20,
    ping_timeout_s: float = 10,
    throttle_penalty_s: float = 1e-6,
    idle_timeout_s: float = 300,
    min_idle: int = 1,
    budget: ConnectBudget | None = None,
    opener: Callable[[Open], Awaitable[Connection]] | None = None,
    max_trailing_audio_s: float = MAX_TRAILING_AUDIO_S,
) -> AsyncIterator[ConnectionPool[Connection]]:
    async def open_connection() -> Connection:
        return await Connection.open(
            url,
            KEY,
            connect_timeout_s=connect_timeout_s,
            max_trailing_audio_s=max_trailing_audio_s,
        )

    async def open_by_script() -> Connection:
        return await (opener(open_connection) if opener is not None else open_connection())

    state = PoolState[Connection](
        budget or SlidingWindowBudget(limit, window_s),
        max_connections=max_connections,
        max_age_s=max_age_s,
        max_pong_age_s=50,
        idle_timeout_s=idle_timeout_s,
        min_idle=min_idle,
    )
    limits = PoolLimits(
        acquire_timeout_s,
        linger_s,
        drain_timeout_s,
        ping_interval_s,
        ping_timeout_s,
        throttle_penalty_s,
    )
    pool = ConnectionPool(open_by_script, state, limits, name="hamsa")
    await pool.start()
    try:
        yield pool
    finally:
        await pool.aclose()
