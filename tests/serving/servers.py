"""A small application behind the bounded protocols, and clients that misbehave on raw sockets."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.serving.admission import Admission, ConnectionLimits
from app.serving.http_protocol import MAX_HEAD_BYTES, bounded_protocols
from app.serving.process import listen

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass
class Server:
    """What the tests look at."""

    port: int
    admission: Admission
    received: list[int] = field(default_factory=list)
    """Sizes of the WebSocket messages that the application got."""
    accept: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether handshakes are accepted; until then they wait."""

    async def echo(self, websocket: WebSocket) -> None:
        await self.accept.wait()
        await websocket.accept()
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                data = message.get("bytes") or message.get("text", "").encode()
                self.received.append(len(data))
                await websocket.send_bytes(data)
        except (WebSocketDisconnect, RuntimeError):
            return


@asynccontextmanager
async def serving(**limits: float) -> AsyncIterator[Server]:
    admission = Admission(ConnectionLimits(**limits))  # type: ignore[arg-type]
    listener = listen("127.0.0.1", 0)
    server = Server(listener.getsockname()[1], admission)
    server.accept.set()

    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    http, websocket = bounded_protocols(admission)
    config = uvicorn.Config(
        Starlette(routes=[Route("/", hello), WebSocketRoute("/ws", server.echo)]),
        http=http,
        ws=websocket,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws_max_size=1 << 20,
        ws_per_message_deflate=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    try:
        yield server
    finally:
        running.should_exit = True
        await task
        listener.close()


@dataclass
class RawClient:
    """A socket on which anything can be said."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def upgrade(self) -> None:
        await self.send(UPGRADE)
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")

    async def closed(self) -> bytes:
        """Wait until the server has closed; return what it said before."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def raw_client(server: Server) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Encode a masked frame, as clients send them."""
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    mask = os.urandom(4)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA


def close_code(data: bytes) -> int:
    """Return the code of the close frame that `data` ends with."""
    at = data.rindex(b"\x88")
    return int(struct.unpack("!H", data[at + 2 : at + 4])[0])
