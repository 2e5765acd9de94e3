"""What transports are built from, for tests of how they are chosen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.hamsa.rest import HamsaClient
from app.transports.options import StreamLimits
from app.transports.registry import TransportContext
from tests.hamsa.pools import UNREACHABLE_URL, running_pool


@asynccontextmanager
async def unreachable_context() -> AsyncIterator[TransportContext]:
    """A context whose provider cannot be reached."""
    async with running_pool(UNREACHABLE_URL) as pool:
        client = HamsaClient("http://127.0.0.1:9", "key", connect_timeout_s=1)
        yield TransportContext(StreamLimits(), pool, client)
        await client.aclose()
