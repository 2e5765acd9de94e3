"""A webhook on loopback that plays a script, and agents that ask it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from app.agents.client import make_client
from app.agents.http_stream import HttpAgentStream
from app.agents.webhook import WebhookAgent
from app.http1 import Http1Client

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass
class Exchange:
    """One request as the server saw it."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    nth_on_connection: int

    async def send(self, *parts: bytes) -> None:
        self.writer.writelines(parts)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        async with asyncio.timeout(5):
            try:
                while await self.reader.read(1024):
                    pass
            except ConnectionError:
                return


Script = Callable[[Exchange], Awaitable[None]]


@dataclass
class Webhook:
    url: str
    exchanges: list[Exchange] = field(default_factory=list)


@asynccontextmanager
async def serve(script: Script) -> AsyncIterator[Webhook]:
    """Serve `script` once a request; a script that raises is an error of the test."""
    faults: list[BaseException] = []
    open_writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        try:
            nth = 0
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                nth += 1
                exchange = Exchange(head, await reader.readexactly(length), reader, writer, nth)
                webhook.exchanges.append(exchange)
                await script(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as it may
        except Exception as error:  # noqa: BLE001 handed to the test below
            faults.append(error)
        finally:
            writer.close()
            open_writers.discard(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    webhook = Webhook(f"http://127.0.0.1:{port}/webhook/voice?secret=geheim")
    try:
        yield webhook
    finally:
        for writer in open_writers:
            writer.close()
        server.close()
        await server.wait_closed()
    assert not faults, faults


MakeClient = Callable[[str], Http1Client]
MakeSource = Callable[..., HttpAgentStream]
MakeAgent = Callable[..., WebhookAgent]


def acquired(client: Http1Client) -> int:
    """Count the connections that responses hold."""
    connector = client._session.connector
    assert connector is not None
    return len(connector._acquired)


@pytest.fixture
async def connect() -> AsyncIterator[MakeClient]:
    """Make the client of an agent, one for each address."""
    clients: dict[str, Http1Client] = {}

    def make(url: str) -> Http1Client:
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
        return HttpAgentStream(client=connect(url), **(limits | kwargs))  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_agent(make_source: MakeSource) -> MakeAgent:
    def make(url: str, **kwargs: object) -> WebhookAgent:
        return WebhookAgent(make_source(url, **kwargs))

    return make
