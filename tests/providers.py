"""The real transports, as the gateway composes them, pointed at a simulator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.hamsa.connection import Connection
from app.hamsa.rest import HamsaClient
from app.hamsa.tts_rest import RestTransport
from app.hamsa.tts_websocket import WebSocketTransport
from app.options import speech_options
from app.pool.pool import ConnectionPool
from app.simulator import Simulator
from app.transports.base import TTSTransport
from app.transports.composition import compose
from app.transports.resilient import ResilientTransport
from tests.gateway import settings_for
from tests.pool.pools import running_pool


@dataclass
class Providers:
    """A composed transport, its pool and its HTTP client."""

    transport: ResilientTransport
    pool: ConnectionPool[Connection]
    client: HamsaClient


@asynccontextmanager
async def composed(simulator: Simulator, **changes: Any) -> AsyncIterator[Providers]:
    """Compose transports as the gateway does; no connection is open yet."""
    client = HamsaClient(
        simulator.urls.hamsa_rest_url,
        "test-key",
        connect_timeout_s=5,
        http2_prior_knowledge=True,
    )
    settings = settings_for(simulator, **changes)
    linger_s = settings.hamsa_linger_s
    async with running_pool(simulator.urls.hamsa_ws_url, linger_s=linger_s) as pool:
        try:
            transports: dict[str, TTSTransport] = {
                "websocket": WebSocketTransport(pool, linger_s=linger_s),
                "rest": RestTransport(client),
            }
            speaking = compose(speech_options(settings), transports.__getitem__)
            yield Providers(speaking, pool, client)
        finally:
            await client.aclose()
