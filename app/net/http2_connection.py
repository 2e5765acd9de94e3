"""One HTTP/2 connection, on the `h2` state machine: many requests at once, a stream each."""

import asyncio
import ssl
from functools import partial
from typing import Self, cast

import h2.errors
import h2.events
import h2.exceptions
import httpx

from app.net.failures import NotProcessedError
from app.net.http2_state import StateMachine
from app.net.http2_stream import Header, Http2Stream
from app.net.limits import DEFAULT_LIMITS, HttpLimits
from app.net.slices import SlicedInput

STREAM_WINDOW_BYTES = 1024 * 1024
"""Unread data that one response may pile up here: half a minute of audio, then TCP slows the
server."""

CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024
"""The same for all responses of a connection together."""

SILENCE_S = 5.0
"""If no byte came for this long when a request is cancelled, the connection is not used again."""

CLOSE_TIMEOUT_S = 2.0
"""Longest wait for what is still to be written when the connection is closed."""


class Http2Connection(asyncio.Protocol):
    """Multiplexes requests over one transport."""

    def __init__(self, limits: HttpLimits = DEFAULT_LIMITS) -> None:
        self._loop = asyncio.get_running_loop()
        self._h2 = StateMachine(STREAM_WINDOW_BYTES, limits)
        self._streams: dict[int, Http2Stream] = {}
        self._transport: asyncio.Transport | None = None
        self._second_began_at = self._loop.time()
        self._input = SlicedInput(
            self._process, pause=self._pause_reading, resume=self._resume_reading
        )
        self._draining = False
        """Whether it takes no more requests, and closes after the last stream."""
        self._pinged_at: float | None = None
        """When a ping was sent that was not followed by any byte yet."""
        self._requests = 0
        self.last_received_at = self._loop.time()
        self.closed = asyncio.Event()

    def __repr__(self) -> str:
        state = "usable" if self.is_usable else "draining"
        return f"<Http2Connection {state} streams={len(self._streams)}>"

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> Self | None:
        """Connect; None when TLS did not agree on HTTP/2. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(
            partial(cls, limits), host, port, ssl=tls, server_hostname=host if tls else None
        )
        if not _speaks_http2(transport):
            transport.abort()
            return None
        return connection

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return (
            not self._draining
            and not self.closed.is_set()
            and len(self._streams) < self._h2.remote_settings.max_concurrent_streams
        )

    def start_request(self, headers: list[Header]) -> Http2Stream:
        """Send the headers of a request.

        Raises `NotProcessedError` where the connection has no room for it, `LocalProtocolError`
        where HTTP/2 allows no such headers.
        """
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers)
        except (h2.exceptions.NoAvailableStreamIDError, h2.exceptions.TooManyStreamsError):
            self._draining = True
            raise NotProcessedError("the connection takes no more requests") from None
        except h2.exceptions.ProtocolError as error:
            self._draining = True  # headers that were not sent may be in its compression already
            raise httpx.LocalProtocolError(f"HTTP/2: {type(error).__name__}") from None
        self._requests += 1
        stream = Http2Stream(self, self._h2, stream_id, reused=self._requests > 1)
        self._streams[stream_id] = stream
        self.flush()
        return stream

    def flush(self) -> None:
        """Write what the state machine has to send."""
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def cancel_stream(self, stream_id: int, waiting_since: float | None) -> None:
        """Remove a stream, and reset it unless it has ended.

        `waiting_since` is the time from which the server could have sent more; None when it owed
        nothing. If it owed something, the connection is checked for signs of life.
        """
        if self._streams.pop(stream_id, None) is None:
            return
        try:
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
            if waiting_since is not None:
                self._check_liveness(waiting_since)
        except h2.exceptions.ProtocolError:
            pass  # the stream has ended, or the whole connection has
        self.flush()
        self._close_if_drained()

    def close(self) -> None:
        """Close at once."""
        self._draining = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    async def aclose(self) -> None:
        """Close, and wait until it is closed."""
        self.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.closed.wait()
        except TimeoutError:
            assert self._transport is not None
            self._transport.abort()
            await self.closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface, which must be the first that the server gets."""
        self._transport = cast(asyncio.Transport, transport)
        if _speaks_http2(transport):
            self._h2.initiate_connection()
            self._h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES - 65_535)
            self.flush()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        self.last_received_at = self._loop.time()
        self._pinged_at = None
        self._input.feed(data)

    def _process(self, data: bytes) -> None:
        """Pass what arrived to its stream."""
        if (now := self._loop.time()) - self._second_began_at >= 1:
            self._second_began_at = now
            self._h2.start_second()
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self._input.clear()
            self._fail_all(httpx.RemoteProtocolError, f"HTTP/2: {type(error).__name__}")
            self.flush()
            self.close()
            return
        for event in events:
            self._dispatch(event)
        self.flush()
        self._close_if_drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all streams, when what arrived before has been processed."""
        self._input.when_empty(self._on_lost)

    def _on_lost(self) -> None:
        self.closed.set()
        self._fail_all(httpx.ReadError, "connection lost")

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _check_liveness(self, waiting_since: float) -> None:
        """Retire a connection that has been silent for too long, and ping one that may be dead.

        Requests may be cancelled long before `SILENCE_S`, each after a short wait. So a ping is
        sent, and the silence counts from it however many requests come and go meanwhile.
        """
        if not self._input.is_empty:
            return  # we have not read on
        now = self._loop.time()
        silent_since = max(waiting_since, self.last_received_at)
        if self._pinged_at is not None:
            silent_since = min(silent_since, self._pinged_at)
        if now - silent_since >= SILENCE_S:
            self._draining = True
        elif waiting_since >= self.last_received_at and self._pinged_at is None:
            self._h2.ping(b"are you?")
            self._pinged_at = now

    def _fail_all(self, kind: type[httpx.TransportError], reason: str) -> None:
        for stream in self._streams.values():
            stream.on_failure(kind(reason))
        self._streams.clear()

    def _close_if_drained(self) -> None:
        if self._draining and not self._streams:
            self.close()

    def _dispatch(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self._on_goaway(event.last_stream_id)
        elif isinstance(event, h2.events.RemoteSettingsChanged) or (
            isinstance(event, h2.events.WindowUpdated) and not event.stream_id
        ):
            for stream in self._streams.values():
                stream.wake()
        elif (target := self._streams.get(getattr(event, "stream_id", None) or 0)) is not None:
            target.on_event(event)
        elif isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _on_goaway(self, last_stream_id: int | None) -> None:
        """Take no more requests, and fail those that the server did not process."""
        self._draining = True
        if last_stream_id is None:
            return
        for stream_id, stream in self._streams.items():
            if stream_id > last_stream_id:
                stream.on_failure(NotProcessedError("the server closes the connection (GOAWAY)"))


def _speaks_http2(transport: asyncio.BaseTransport) -> bool:
    """Tell whether TLS agreed on HTTP/2; on plain text it was known before."""
    tls = transport.get_extra_info("ssl_object")
    return tls is None or tls.selected_alpn_protocol() == "h2"
