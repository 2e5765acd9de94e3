"""A provider on a real socket that does what the test's script says, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

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
        return json.loads(await self.connection.recv())  # type: ignore[no-any-return]

    async def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            await self.connection.send(frame)

    async def answer(self, *audio: bytes) -> dict[str, object]:
        """Take one request and answer it regularly."""
        request = await self.request()
        await self.send(ACK, *audio, END)
        return request

    def drop(self) -> None:
        """Break the socket as a failing network does: no close frame."""
        self.connection.transport.abort()


Script = Callable[[Socket], Awaitable[None]]


@dataclass
class ScriptedProvider:
    """Where it listens, and whom it has accepted."""

    url: str
    sockets: list[Socket] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_open(self, count: int) -> None:
        """Wait until exactly so many sockets are open."""
        while self.open_count != count:
            self.changed.clear()
            await self.changed.wait()

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
        provider.changed.set()
        with suppress(ConnectionClosed):  # the client may leave amid a script
            await script(socket)
        await connection.close()
        await connection.wait_closed()
        provider.changed.set()

    async with serve(handle, "127.0.0.1", 0, compression=None, close_timeout=1) as server:
        port = server.sockets[0].getsockname()[1]
        provider = ScriptedProvider(f"ws://127.0.0.1:{port}/v1/realtime/ws")
        yield provider


async def forever(socket: Socket) -> None:
    """Keep a socket open until the client closes it."""
    await socket.connection.wait_closed()
