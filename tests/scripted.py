"""A provider on a real socket that does what the test's script says, and nothing else."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.waiting import until

ACK = json.dumps(
    {"type": "ack", "payload": {"message": "Real time text to speach connection establesh"}}
)
END = json.dumps({"type": "end", "payload": {"message": "End of TTS stream"}})
INFO = json.dumps(
    {"type": "info", "payload": {"message": "Connected to realtime WebSocket server"}}
)


def error(message: str) -> str:
    return json.dumps({"type": "error", "payload": {"message": message}})


@dataclass
class Socket:
    """One accepted socket, as the script sees it."""

    connection: ServerConnection
    number: int

    async def request(self) -> dict[str, object]:
        """Wait for the next request."""
        request: dict[str, object] = json.loads(await self.connection.recv())
        return request

    async def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            await self.connection.send(frame)

    async def respond(self, *audio: bytes) -> dict[str, object]:
        """Wait for a request and send a regular stream."""
        request = await self.request()
        await self.send(ACK, *audio, END)
        return request

    def drop(self) -> None:
        """Break the socket as a failing network does: no close frame."""
        self.connection.transport.abort()


Script = Callable[[Socket], Awaitable[None]]


@dataclass
class ScriptedProvider:
    """A listening provider and the sockets that it has accepted."""

    url: str
    sockets: list[Socket] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def until_open(self, count: int) -> None:
        """Wait until exactly this many sockets are open."""
        await until(lambda: self.open_count == count, state=self.sockets)

    @property
    def open_count(self) -> int:
        return sum(socket.connection.state.name == "OPEN" for socket in self.sockets)


@asynccontextmanager
async def scripted_provider(script: Script) -> AsyncIterator[ScriptedProvider]:
    """Listen on a free port; `script` is run for every socket, and the socket closes after it."""

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        socket = Socket(connection, len(provider.sockets) + 1)
        provider.sockets.append(socket)
        provider.headers.append(dict(connection.request.headers.raw_items()))
        provider.paths.append(connection.request.path)
        with suppress(ConnectionClosed):  # the client may leave amid a script
            await script(socket)
        await connection.close()
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        port = server.sockets[0].getsockname()[1]
        provider = ScriptedProvider(f"ws://127.0.0.1:{port}/v1/realtime/ws")
        yield provider


def responds(*audio: bytes) -> Script:
    """Greet, and send this audio for every request."""

    async def script(socket: Socket) -> None:
        await socket.send(INFO)
        while True:
            await socket.respond(*audio)

    return script


async def stays_open(socket: Socket) -> None:
    """Keep a socket open until the client closes it."""
    await socket.connection.wait_closed()
