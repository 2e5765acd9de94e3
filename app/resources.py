"""The HTTP clients and pools that plug-ins are built with: closed when the gateway stops."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol

import httpx
from pydantic_settings import BaseSettings

from app.net.client import client_over, http2_transport
from app.net.lazy import LazyTransport
from app.net.limits import DEFAULT_LIMITS, HttpLimits
from app.net.proxy import proxy_for
from app.net.url import web_url
from app.pool.budget import SlidingWindowBudget
from app.pool.connection import C
from app.pool.lease import PoolLimits
from app.pool.pool import ConnectionPool
from app.pool.pool_state import PoolState

KEEP_ALIVE_S = 55.0
"""How long an idle HTTP/1.1 connection is kept; most servers close one after 60 s."""

MAX_HTTP1_CONNECTIONS = 500
"""Each carries one request at a time. A request that gets none in time fails to connect."""

MAX_AGE_S = 3300.0
"""Age at which a socket is retired: many providers close one after an hour."""


class HttpClientFactory(Protocol):
    """Makes HTTP clients."""

    def __call__(self, url: str, *, connect_timeout_s: float = 5.0) -> httpx.AsyncClient:
        """Return a client for the server of `url`.

        It speaks HTTP/2 where TLS negotiates it, follows no redirect, and has no timeout but for
        connecting: the gateway bounds every strategy from outside.
        """


class PoolFactory(Protocol):
    """Makes pools of sockets."""

    def __call__(
        self,
        open_connection: Callable[[], Awaitable[C]],
        *,
        name: str,
        connect_limit: int = 3,
        connect_window_s: float = 20.0,
        max_connections: int = 8,
        max_age_s: float = MAX_AGE_S,
        limits: PoolLimits | None = None,
    ) -> ConnectionPool[C]:
        """Return a pool that opens at most `connect_limit` sockets in `connect_window_s` seconds.

        The gateway starts it, and closes its sockets.
        """


class Resources:
    """Makes clients and pools, and owns them."""

    def __init__(self, limits: HttpLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._clients: list[httpx.AsyncClient] = []
        self._pools: list[ConnectionPool[Any]] = []
        self.settings: list[BaseSettings] = []
        """The settings that were read for strategies."""

    def http_client(self, url: str, *, connect_timeout_s: float = 5.0) -> httpx.AsyncClient:
        """Make a client for the server of `url`. Raises `ConfigurationError` for a wrong URL."""
        web_url(url)
        proxy_for(url)
        make = partial(
            http2_transport,
            url,
            keep_alive_s=KEEP_ALIVE_S,
            max_connections=MAX_HTTP1_CONNECTIONS,
            limits=self._limits,
        )
        client = client_over(LazyTransport(make), connect_timeout_s=connect_timeout_s)
        self._clients.append(client)
        return client

    def pool(
        self,
        open_connection: Callable[[], Awaitable[C]],
        *,
        name: str,
        connect_limit: int = 3,
        connect_window_s: float = 20.0,
        max_connections: int = 8,
        max_age_s: float = MAX_AGE_S,
        limits: PoolLimits | None = None,
    ) -> ConnectionPool[C]:
        """Make a pool of sockets; `PoolFactory` explains the arguments."""
        limits = limits or PoolLimits()
        state = PoolState[C](
            SlidingWindowBudget(connect_limit, connect_window_s),
            max_connections=max_connections,
            max_age_s=max_age_s,
            # two pings may be unanswered before a socket counts as dead
            max_pong_age_s=2 * limits.ping_interval_s + limits.ping_timeout_s,
        )
        pool = ConnectionPool(open_connection, state, limits, name=name)
        self._pools.append(pool)
        return pool

    @property
    def pools(self) -> Sequence[ConnectionPool[Any]]:
        """The pools that were made, for metrics."""
        return self._pools

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the pools; `stack` closes all."""
        for client in self._clients:
            stack.push_async_callback(client.aclose)
        for pool in self._pools:
            await pool.start()
            stack.push_async_callback(pool.aclose)
