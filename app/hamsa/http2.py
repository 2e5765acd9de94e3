"""One HTTP/2 connection, on the `h2` state machine: many requests at once, a stream each.

httpx speaks HTTP/2 too, but never resets a stream that is abandoned: the provider would go on, and
each barge-in would use up some of the connection's flow-control window until all requests hang.
Here, letting go of a stream is synchronous and tells the peer at once.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Self, cast

import h2.errors
import h2.events
import h2.exceptions

from app import errors
from app.hamsa.http2_state import StateMachine

STREAM_WINDOW_BYTES = 1024 * 1024
"""Unread audio that one answer may pile up here: half a minute, then TCP slows the provider."""

CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024
"""The same for all answers of a connection together."""

SILENCE_S = 5.0
"""A request let go after such a silence of the whole connection condemns the connection."""

CLOSE_TIMEOUT_S = 2.0
"""Longest wait for what is still to be written when the connection is closed."""


class Http2Connection(asyncio.Protocol):
    """Multiplexes requests over one transport."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._h2 = StateMachine(STREAM_WINDOW_BYTES)
        self._streams: dict[int, Http2Stream] = {}
        self._transport: asyncio.Transport | None = None
        self._refusing = False
        self._pinged_at: float | None = None
        """When the peer was asked for a sign of life that has not come yet."""
        self.requests = 0
        self.last_received_at = self._loop.time()
        self.closed = asyncio.Event()

    def __repr__(self) -> str:
        state = "usable" if self.is_usable else "retired"
        return f"<Http2Connection {state} streams={len(self._streams)}>"

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext | None) -> Self | None:
        """Connect; None when TLS did not agree on HTTP/2. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(
            cls, host, port, ssl=tls, server_hostname=host if tls else None
        )
        if not _speaks_http2(transport):
            transport.abort()
            return None
        return connection

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return (
            not self._refusing
            and not self.closed.is_set()
            and len(self._streams) < self._h2.remote_settings.max_concurrent_streams
        )

    def start_request(self, headers: list[tuple[str, str]]) -> "Http2Stream":
        """Send the head of a request. Raises `ConnectionLostError`."""
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers)
        except h2.exceptions.ProtocolError as error:
            self._refusing = True
            raise errors.ConnectionLostError(f"HTTP/2: {type(error).__name__}") from None
        self.requests += 1
        stream = self._streams[stream_id] = Http2Stream(self, self._h2, stream_id)
        self.flush()
        return stream

    def flush(self) -> None:
        """Write what the state machine has to say."""
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def forget(self, stream_id: int, *, asked_at: float | None) -> None:
        """Let go of a stream; unless it ended, the peer is told to stop.

        `asked_at` is since when the peer could have sent more; None when it owes nothing.
        """
        if self._streams.pop(stream_id, None) is None:
            return
        try:
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
            if asked_at is not None:
                self._doubt(asked_at)
        except h2.exceptions.ProtocolError:
            pass  # the stream has ended, or the whole connection has
        self.flush()
        self._close_if_done()

    def close(self) -> None:
        """Close at once."""
        self._refusing = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    async def aclose(self) -> None:
        """Close, and see to it that it is closed."""
        self.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.closed.wait()
        except TimeoutError:
            assert self._transport is not None
            self._transport.abort()
            await self.closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and greet before the peer, who may talk first, is answered."""
        self._transport = cast(asyncio.Transport, transport)
        if _speaks_http2(transport):
            self._h2.initiate_connection()
            self._h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES - 65_535)
            self.flush()

    def data_received(self, data: bytes) -> None:
        """Lead what arrives to its stream."""
        self.last_received_at = self._loop.time()
        self._pinged_at = None
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self._fail_all(type(error).__name__)
            self.flush()
            self.close()
            return
        for event in events:
            self._dispatch(event)
        self.flush()
        self._close_if_done()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all streams."""
        self.closed.set()
        self._fail_all("connection lost")

    def _doubt(self, asked_at: float) -> None:
        """Condemn a connection that is silent; ask one that may be, as waits can be short."""
        now = self._loop.time()
        since = max(asked_at, self.last_received_at)
        if now - (since if self._pinged_at is None else min(since, self._pinged_at)) >= SILENCE_S:
            self._refusing = True
        elif asked_at >= self.last_received_at and self._pinged_at is None:
            self._h2.ping(b"are you?")
            self._pinged_at = now

    def _fail_all(self, reason: str) -> None:
        for stream in self._streams.values():
            stream.fail(reason)
        self._streams.clear()

    def _close_if_done(self) -> None:
        if self._refusing and not self._streams:
            self.close()

    def _dispatch(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self._refusing = True
            for stream_id, stream in list(self._streams.items()):
                if event.last_stream_id is not None and stream_id > event.last_stream_id:
                    stream.fail("refused by GOAWAY")
        elif isinstance(event, h2.events.RemoteSettingsChanged) or (
            isinstance(event, h2.events.WindowUpdated) and not event.stream_id
        ):
            for stream in self._streams.values():
                stream.wake()
        elif (taker := self._streams.get(getattr(event, "stream_id", None) or 0)) is not None:
            taker.take(event)
        elif isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


class Http2Stream:
    """One request and its answer."""

    def __init__(self, connection: Http2Connection, state: StateMachine, stream_id: int) -> None:
        self._connection = connection
        self._h2 = state
        self._id = stream_id
        self.is_reuse = connection.requests > 1
        """Whether the connection had carried a request before."""
        self._loop = asyncio.get_running_loop()
        self._asked_at = self._loop.time()
        self._changed = asyncio.Event()
        self._headers: Mapping[str, str] | None = None
        self._data: deque[tuple[bytes, int]] = deque()
        self._ended = False
        self._failure: str | None = None

    async def send_body(self, body: bytes) -> None:
        """Send the body, as fast as the peer's window allows. Raises `ConnectionLostError`.

        An answer that ends before ends the sending: it says what is wrong with the request.
        """
        view = memoryview(body)
        while not self._ended:
            self._raise_failure()
            window = self._h2.local_flow_control_window(self._id)  # may be below zero
            size = min(len(view), window, self._h2.max_outbound_frame_size)
            if size > 0 or not view:
                self._h2.send_data(self._id, view[:size].tobytes(), end_stream=size == len(view))
                self._connection.flush()
                view = view[size:]
                if not view:
                    return
            else:
                await self._change()

    async def headers(self) -> Mapping[str, str]:
        """Wait for the answer's headers, `:status` among them. Raises `ConnectionLostError`."""
        while self._headers is None:
            self._raise_failure()
            await self._change()
        return self._headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the body as it arrives. Raises `ConnectionLostError` when it is cut."""
        while True:
            while self._data:
                data, size = self._data.popleft()
                self._acknowledge(size)
                self._asked_at = self._loop.time()
                if data:
                    yield data
            if self._ended:
                return
            self._raise_failure()
            await self._change()

    def close(self) -> None:
        """Let go of the stream, and of what it has not read."""
        owed = not self._ended and not self._data  # else the silence is our own
        while self._data:
            self._acknowledge(self._data.popleft()[1])
        self._connection.forget(self._id, asked_at=self._asked_at if owed else None)

    def take(self, event: h2.events.Event) -> None:
        """Take what arrived for this stream."""
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self._headers = dict(cast(list[tuple[str, str]], headers))
            case h2.events.DataReceived(data=data, flow_controlled_length=size):
                self._data.append((bytes(data or b""), size or 0))
            case h2.events.StreamEnded():
                self._ended = True
            case h2.events.StreamReset(error_code=code):
                self._failure = self._failure or f"reset by the peer ({code})"
        self.wake()

    def fail(self, reason: str) -> None:
        """Learn that no more can come."""
        if not self._ended:
            self._failure = reason
        self.wake()

    def wake(self) -> None:
        """Look again: something changed."""
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _acknowledge(self, size: int) -> None:
        if size and not self._connection.closed.is_set():
            try:
                self._h2.acknowledge_received_data(size, self._id)
            except h2.exceptions.ProtocolError:
                return  # the stream or the connection is closed: there is no window to grant
            self._connection.flush()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise errors.ConnectionLostError(f"HTTP/2 stream: {self._failure}")


def _speaks_http2(transport: asyncio.BaseTransport) -> bool:
    """Tell whether TLS agreed on HTTP/2; on plain text it was known before."""
    tls = transport.get_extra_info("ssl_object")
    return tls is None or tls.selected_alpn_protocol() == "h2"
