"""A `WebSocketTransport` over real sockets, to a provider that follows a script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.hamsa.connection import Connection
from app.hamsa.tts_websocket import WebSocketTransport
from app.pool.pool import ConnectionPool
from app.transports.policy import StreamLimits
from tests.pool.pools import running_pool
from tests.scripted import Script, ScriptedProvider, scripted_provider

SPEECH = bytes(range(256)) * 20


class LimitedTransport(WebSocketTransport):
    """Tells tests within which limits its attempts are made."""

    limits = StreamLimits(5, 5)


def transport_over(
    pool: ConnectionPool[Connection],
    *,
    first_audio_timeout_s: float = 5,
    stall_timeout_s: float = 5,
) -> LimitedTransport:
    transport = LimitedTransport(pool, linger_s=0.05)
    transport.limits = StreamLimits(first_audio_timeout_s, stall_timeout_s)
    return transport


@asynccontextmanager
async def websocket_transport(
    script: Script,
    *,
    limit: int = 100,
    first_audio_timeout_s: float = 5,
    stall_timeout_s: float = 5,
) -> AsyncIterator[tuple[LimitedTransport, ConnectionPool[Connection], ScriptedProvider]]:
    """A transport to a provider that follows this script; `limit` bounds the openings."""
    async with (
        scripted_provider(script) as provider,
        running_pool(provider.url, limit=limit) as pool,
    ):
        transport = transport_over(
            pool, first_audio_timeout_s=first_audio_timeout_s, stall_timeout_s=stall_timeout_s
        )
        yield transport, pool, provider
