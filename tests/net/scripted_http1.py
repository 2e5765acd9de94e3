"""An HTTP/1.1 server on a real socket that does what the test's script says, and nothing else.

The script is run once for every request, and writes the bytes of the response itself.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

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

    def fields(self, name: str) -> list[str]:
        """The values of a header."""
        lines = [line.partition(": ") for line in self.head.decode().split("\r\n")]
        return [value for key, _, value in lines if key.lower() == name]

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
class Http1Server:
    """Where it listens, and the requests that it got."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0
    """How many were accepted."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether any has ended."""


def whole(body: bytes = b"", status: str = "200 OK", *headers: str) -> Script:
    """A regular response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return raw("\r\n".join(lines).encode() + body, close=False)


def raw(data: bytes, *, close: bool = True) -> Script:
    """These bytes."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        if close:
            exchange.writer.close()

    return script


def one_by_one(*scripts: Script) -> Script:
    """A script for each request, in their order."""
    left = list(scripts)

    async def script(exchange: Exchange) -> None:
        await left.pop(0)(exchange)

    return script


@asynccontextmanager
async def scripted_http1(
    script: Script, *, path: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Http1Server]:
    """Listen on a free port; a script that raises is an error of the test."""
    faults: list[BaseException] = []
    handlers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers[task] = writer
        served.connections += 1
        try:
            await _serve(script, served, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as it may
        except Exception as error:  # noqa: BLE001 - raised below
            faults.append(error)
        finally:
            served.ended.set()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    served = Http1Server(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}")
    try:
        yield served
    finally:
        server.close()
        for writer in handlers.values():
            if not writer.is_closing():  # twice closed is more than TLS bears in Python 3.11.2
                writer.transport.abort()
        await asyncio.gather(*handlers)
    assert not faults, faults


async def _serve(
    script: Script,
    served: Http1Server,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    nth = 0
    while not writer.is_closing():
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            0,
        )
        nth += 1
        exchange = Exchange(head, await reader.readexactly(length), reader, writer, nth)
        served.exchanges.append(exchange)
        await script(exchange)
