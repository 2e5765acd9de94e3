"""A `WebSocketTransport` over real sockets, to a provider that follows a script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.hamsa.pool import ConnectionPool
from app.transports.completeness import MAX_MS_PER_CHAR
from app.transports.websocket import WebSocketTransport
from tests.hamsa.pools import running_pool
from tests.scripted import Script, ScriptedProvider, scripted_provider

SPEECH = bytes(range(256)) * 20


def transport_over(
    pool: ConnectionPool,
    *,
    first_audio_timeout_s: float = 5,
    stall_timeout_s: float = 5,
    acquire_timeout_s: float | None = None,
    allow_connect: bool = True,
    max_ms_per_char: float = MAX_MS_PER_CHAR,
) -> WebSocketTransport:
    return WebSocketTransport(
        pool,
        first_audio_timeout_s=first_audio_timeout_s,
        stall_timeout_s=stall_timeout_s,
        linger_s=0.05,
        max_ms_per_char=max_ms_per_char,
        acquire_timeout_s=acquire_timeout_s,
        allow_connect=allow_connect,
    )


@asynccontextmanager
async def websocket_transport(
    script: Script,
    *,
    limit: int = 100,
    first_audio_timeout_s: float = 5,
    stall_timeout_s: float = 5,
) -> AsyncIterator[tuple[WebSocketTransport, ConnectionPool, ScriptedProvider]]:
    """A transport to a provider that follows this script; `limit` bounds the openings."""
    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, limit=limit) as pool,
    ):
        transport = transport_over(
            pool, first_audio_timeout_s=first_audio_timeout_s, stall_timeout_s=stall_timeout_s
        )
        yield transport, pool, provider
