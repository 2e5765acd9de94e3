"""A webhook on loopback that plays a script, and agents that ask it."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import httpx
import pytest

from app.agents.client import make_client
from app.agents.http_stream import HttpAgentStream
from app.agents.webhook import WebhookAgent
from tests.net.clients import acquired
from tests.net.scripted_http1 import (
    END,
    HEAD,
    Exchange,
    Http1Server,
    Script,
    chunk,
    scripted_http1,
)

__all__ = ["END", "HEAD", "Exchange", "Script", "acquired", "chunk"]

serve = partial(scripted_http1, path="/webhook/voice?secret=geheim")
"""Listen as an agent's webhook does, with a secret in its URL."""

Webhook = Http1Server
MakeClient = Callable[[str], httpx.AsyncClient]
MakeSource = Callable[..., HttpAgentStream]
MakeAgent = Callable[..., WebhookAgent]


@pytest.fixture
async def connect() -> AsyncIterator[MakeClient]:
    """Make the client of an agent, one for each address."""
    clients: dict[str, httpx.AsyncClient] = {}

    def make(url: str) -> httpx.AsyncClient:
        if url not in clients:
            clients[url] = make_client(url, connect_timeout_s=2)
        return clients[url]

    yield make
    for client in clients.values():
        assert not acquired(client), "a connection was not given back"
        await client.aclose()


@pytest.fixture
def make_source(connect: MakeClient) -> MakeSource:
    def make(url: str, **kwargs: object) -> HttpAgentStream:
        limits: dict[str, object] = {
            "first_token_timeout_s": 5,
            "between_tokens_timeout_s": 5,
            "total_timeout_s": 10,
        }
        return HttpAgentStream(client=connect(url), url=url, **(limits | kwargs))  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_agent(make_source: MakeSource) -> MakeAgent:
    def make(url: str, **kwargs: object) -> WebhookAgent:
        return WebhookAgent(make_source(url, **kwargs))

    return make
