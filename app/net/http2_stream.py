"""One HTTP/2 request and its response."""

import asyncio
from collections import deque
from typing import Protocol, Self

import h2.errors
import h2.events
import h2.exceptions
import httpx

from app.net.failures import NotProcessedError
from app.net.http2_state import StateMachine

Header = tuple[bytes, bytes]


class StreamConnection(Protocol):
    """What a stream needs of its connection."""

    closed: asyncio.Event

    def flush(self) -> None:
        """Write what the state machine has to send."""

    def cancel_stream(self, stream_id: int, waiting_since: float | None) -> None:
        """Remove a stream, and reset it unless it has ended."""


class Http2Stream(httpx.AsyncByteStream):
    """A stream of a connection: sends the request's body, then iterates over the response's.

    Closing it is synchronous and tells the server at once, also when it is cancelled anywhere.
    """

    def __init__(
        self, connection: StreamConnection, state: StateMachine, stream_id: int, *, reused: bool
    ) -> None:
        self._connection = connection
        self._h2 = state
        self._id = stream_id
        self.reused = reused
        """Whether the connection had carried a request before."""
        self._loop = asyncio.get_running_loop()
        self._waiting_since = self._loop.time()
        """Since when the server could have sent more."""
        self._changed = asyncio.Event()
        self._headers: list[Header] | None = None
        self._data: deque[tuple[bytes, int]] = deque()
        """Unread chunks, each with the bytes of flow-control window that it takes up."""
        self._informational = 0
        self._ended = False
        self._failure: httpx.TransportError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk of the body. Raises the failure only after all that arrived."""
        while True:
            while self._data:
                data, size = self._data.popleft()
                self._acknowledge(size)
                self._waiting_since = self._loop.time()
                if data:
                    return data
            if self._ended:
                raise StopAsyncIteration
            self._raise_failure()
            await self._change()

    async def send_body(self, body: bytes) -> None:
        """Send the body as fast as the server's window allows. Raises `httpx.TransportError`.

        A response that ends first ends the sending: it says what is wrong with the request.
        """
        view = memoryview(body)
        while not self._ended:
            if isinstance(self._failure, httpx.ReadError):
                raise httpx.WriteError(str(self._failure))
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

    async def response_headers(self) -> list[Header]:
        """Wait for the response's headers, `:status` among them. Raises `httpx.TransportError`."""
        while self._headers is None:
            self._raise_failure()
            await self._change()
        return self._headers

    async def aclose(self) -> None:
        """Close; there is nothing to wait for."""
        self.close()

    def close(self) -> None:
        """Drop what was not read, and reset the stream unless it has ended."""
        # what is unread may fill the window: then the server is silent because we stopped reading
        is_owed = not self._ended and not self._data
        while self._data:
            self._acknowledge(self._data.popleft()[1])
        self._connection.cancel_stream(self._id, self._waiting_since if is_owed else None)
        self.on_failure(httpx.ReadError("the response was closed here"))

    def on_event(self, event: h2.events.Event) -> None:
        """Note what arrived for this stream."""
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self._on_headers([(bytes(name), bytes(value)) for name, value in headers])
            case h2.events.InformationalResponseReceived():
                self._on_informational()
            case h2.events.DataReceived(data=data, flow_controlled_length=size):
                self._data.append((bytes(data or b""), size or 0))
            case h2.events.StreamEnded():
                self._ended = True
            case h2.events.StreamReset(error_code=code):
                self._on_reset(code)
        self.wake()

    def on_failure(self, failure: httpx.TransportError) -> None:
        """Note that no more can come; the first failure counts."""
        if not self._ended:
            self._failure = self._failure or failure
        self.wake()

    def wake(self) -> None:
        """Wake the task that waits for a change."""
        self._changed.set()

    def _on_headers(self, headers: list[Header]) -> None:
        if len(headers) > (limit := self._h2.limits.max_headers):
            reason = f"more than {limit} headers"
            self._failure = self._failure or httpx.RemoteProtocolError(reason)
        elif self._failure is None:
            self._headers = headers

    def _on_informational(self) -> None:
        self._informational += 1
        if self._informational > (limit := self._h2.limits.max_informational):
            reason = f"more than {limit} informational (1xx) responses"
            self._failure = self._failure or httpx.RemoteProtocolError(reason)

    def _on_reset(self, code: int | None) -> None:
        if code == h2.errors.ErrorCodes.REFUSED_STREAM and self._headers is None:
            failure: httpx.TransportError = NotProcessedError("the server refused the stream")
        else:
            failure = httpx.ReadError(f"the server reset the stream (HTTP/2 error {code})")
        self._failure = self._failure or failure

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _acknowledge(self, size: int) -> None:
        if size and not self._connection.closed.is_set():
            try:
                self._h2.acknowledge_received_data(size, self._id)
            except h2.exceptions.ProtocolError:
                return  # the stream or the connection is closed: there is no window to return
            self._connection.flush()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
