"""An HTTP/2 server on a real socket that does what the test's script says, and nothing else.

The script is run once for every request. GOAWAY and rubbish are written past the state machine, for
`h2` would send nothing more after them.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame

Script = Callable[["Exchange"], Coroutine[None, None, None]]
Settings = dict[h2.settings.SettingCodes | int, int]


@dataclass(eq=False)
class Exchange:
    """One request and its answer, as the script sees them."""

    socket: "Http2Socket"
    id: int
    headers: dict[str, str]
    received: bytearray = field(default_factory=bytearray)
    whole: bool = False
    """Whether the request has ended."""
    reset_by: h2.errors.ErrorCodes | int | None = None
    """The code by which the client let go of the stream."""
    sent_bytes: int = 0

    async def body(self) -> bytes:
        """Wait for the whole request."""
        await self.socket.server.until(lambda: self.whole or self.reset_by is not None)
        return bytes(self.received)

    def head(self, status: int | str = 200, **headers: str) -> None:
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if self.reset_by is None:
            self.socket.h2.send_headers(self.id, [(":status", str(status)), *fields])
            self.socket.flush()

    async def send(self, data: bytes = b"", *, end: bool = False) -> None:
        """Send a part of the body, as fast as the client's windows allow; stop when it lets go."""
        state = self.socket.h2
        while data and self.reset_by is None and not self.socket.closed:
            window = min(state.local_flow_control_window(self.id), state.max_outbound_frame_size)
            if window <= 0:
                before = self.socket.turns
                await self.socket.server.until(lambda: self.socket.turns > before)  # noqa: B023
                continue
            piece, data = data[:window], data[window:]
            state.send_data(self.id, piece)
            self.sent_bytes += len(piece)
            self.socket.flush()
        if end and self.reset_by is None and not self.socket.closed:
            state.end_stream(self.id)
            self.socket.flush()

    async def answer(self, *chunks: bytes, status: int = 200, **headers: str) -> bytes:
        """Take the whole request, and answer it regularly."""
        body = await self.body()
        self.head(status, **headers)
        for chunk in chunks:
            await self.send(chunk)
        await self.send(end=True)
        return body

    def reset(self, code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.INTERNAL_ERROR) -> None:
        self.socket.h2.reset_stream(self.id, code)
        self.socket.flush()

    async def until_reset(self) -> None:
        await self.socket.server.until(lambda: self.reset_by is not None)


class Http2Socket(asyncio.Protocol):
    """One accepted connection."""

    def __init__(self, server: "Http2Server") -> None:
        self.server = server
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.transport: asyncio.Transport | None = None
        self.exchanges: dict[int, Exchange] = {}
        self.resets: list[tuple[int, int]] = []
        """Every RST_STREAM frame, though its stream was closed before: stream and code."""
        self._unread = b""
        self.pings = self.pongs = 0
        self.turns = 0
        """How often anything arrived."""
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.server.sockets.append(self)
        self.h2.initiate_connection()
        if self.server.settings:
            self.h2.update_settings(self.server.settings)  # in force when the client knows them
        self.flush()
        self.server.changed.set()

    def data_received(self, data: bytes) -> None:
        self.turns += 1
        self._note_resets(data)
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.server.faults.append(error)
            self.drop()
            return
        for event in events:
            self._dispatch(event)
        self.flush()
        self.server.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.server.changed.set()

    def flush(self) -> None:
        assert self.transport is not None
        if not self.transport.is_closing():
            self.transport.write(self.h2.data_to_send())

    def write(self, data: bytes) -> None:
        """Write bytes past the state machine."""
        assert self.transport is not None
        self.transport.write(data)

    def go_away(self, last_stream_id: int) -> None:
        """Take no streams above this one."""
        self.write(go_away(last_stream_id))

    def drop(self) -> None:
        """Break the connection as a failing network does."""
        assert self.transport is not None
        self.transport.abort()

    def _note_resets(self, data: bytes) -> None:
        self._unread = (self._unread + data).removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while len(self._unread) >= 9:
            frame, size = Frame.parse_frame_header(memoryview(self._unread[:9]))
            if len(self._unread) < 9 + size:
                return
            if isinstance(frame, RstStreamFrame):
                code = int.from_bytes(self._unread[9:13], "big")
                self.resets.append((frame.stream_id, code))
            self._unread = self._unread[9 + size :]

    def _dispatch(self, event: h2.events.Event) -> None:
        exchange = self.exchanges.get(getattr(event, "stream_id", None) or 0)
        match event:
            case h2.events.RequestReceived(stream_id=stream_id, headers=headers):
                fields = {name.decode(): value.decode() for name, value in headers or []}
                taken = self.exchanges[stream_id or 0] = Exchange(self, stream_id or 0, fields)
                self.server.take(taken)
            case h2.events.DataReceived(data=data, flow_controlled_length=size) if exchange:
                exchange.received += data or b""
                if self.server.gives_window_back and size:
                    # at once: h2's own bookkeeping waits for ever once a window was made smaller
                    self.h2.increment_flow_control_window(size)
                    if event.stream_ended is None:
                        self.h2.increment_flow_control_window(size, exchange.id)
            case h2.events.StreamEnded() if exchange:
                exchange.whole = True
            case h2.events.StreamReset(error_code=code) if exchange:
                exchange.reset_by = code
            case h2.events.PingReceived():
                self.pings += 1
            case h2.events.PingAckReceived():
                self.pongs += 1


@dataclass(eq=False)
class Http2Server:
    """Where it listens, and whom it has served."""

    script: Script
    settings: Settings
    gives_window_back: bool = True
    url: str = ""
    sockets: list[Http2Socket] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    """What clients did against the protocol, and what failed in a script; there must be none."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def open_count(self) -> int:
        return sum(not socket.closed for socket in self.sockets)

    def take(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.tasks.append(asyncio.create_task(self._run(exchange)))

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self.script(exchange)
        except Exception as error:  # noqa: BLE001 - a script that fails must not leave a client waiting
            self.faults.append(error)
            exchange.socket.drop()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; the test's own timeout is the guard."""
        while not condition():
            waiter = self.changed
            await waiter.wait()
            # a fresh event for the next change, so that all who wait look again
            if self.changed is waiter:
                self.changed = asyncio.Event()


def go_away(last_stream_id: int) -> bytes:
    return GoAwayFrame(0, last_stream_id=last_stream_id).serialize()


@asynccontextmanager
async def scripted_http2(
    script: Script,
    *,
    settings: Settings | None = None,
    gives_window_back: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Http2Server]:
    """Listen on a free port, by prior knowledge or by TLS; `script` is run for every request."""
    served = Http2Server(script, settings or {}, gives_window_back)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Http2Socket(served), "127.0.0.1", 0, ssl=tls
    )
    scheme = "https" if tls else "http"
    served.url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield served
    finally:
        listener.close()
        for socket in served.sockets:
            if not socket.closed:
                socket.drop()
        await served.until(lambda: not served.open_count)
        for task in served.tasks:
            task.cancel()
        await asyncio.gather(*served.tasks, return_exceptions=True)
    assert not served.faults


async def echo(exchange: Exchange) -> None:
    """Answer with the body of the request."""
    await exchange.answer(await exchange.body())


async def silent(exchange: Exchange) -> None:
    """Answer nothing."""
