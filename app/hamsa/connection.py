"""One socket to the provider: opens it, sends requests, returns decoded frames."""

import asyncio
import itertools
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHeader,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
    WebSocketException,
)
from websockets.protocol import State

from app import errors
from app.hamsa import wire
from app.hamsa.socket import SlicedSocket
from app.pool.connection import AudioSink
from app.timeouts import stall_tolerant_timeout

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Largest frame accepted from the provider; 64 KB is the largest seen (`docs/hamsa.md`, Audio
format)."""

MAX_TRAILING_AUDIO_S = 1.0
"""Audio after an `end`, in time: late frames are few (`docs/hamsa.md`, Late audio)."""

MAX_AUDIO_BYTES_PER_S = 8 * 32_000
"""Bytes that may stand for a second of audio. A header can name another format than the requested
one, which takes 32,000 at most."""

CLOSE_TIMEOUT_S = 2.0
"""Longest wait for the closing handshake: several round trips, and well below the time that the
gateway has to stop."""

_ERRORS_WITH_SECRETS = (InvalidHeader, InvalidURI, InvalidProxy, ProxyError)
"""Exceptions whose text quotes a header or an address, so perhaps a key, a password or a token."""

_numbers = itertools.count(1)


class Connection:
    """A socket that serves one request after another.

    Frames carry no request id. So the connection itself keeps two requests apart: while `trailing`
    is set, audio belongs to the previous request, until the `ack` of the next one.

    All times are seconds of the running loop's clock.
    """

    def __init__(
        self, socket: ClientConnection, *, max_trailing_audio_s: float = MAX_TRAILING_AUDIO_S
    ) -> None:
        self._socket = socket
        self._max_trailing_bytes = int(max_trailing_audio_s * MAX_AUDIO_BYTES_PER_S)
        self.number = next(_numbers)
        """Tells the sockets of the process apart in the log; counted from 1."""
        self._now = asyncio.get_running_loop().time
        self.opened_at = self._now()
        self.last_pong_at = self.opened_at
        """When a pong or a frame came last."""
        self.requests = 0
        """How many requests were sent."""
        self.in_flight = False
        """Whether a request was sent whose response has not ended."""
        self.trailing: AudioSink | None = None
        """Takes audio until the `ack` of the next request; set by whoever read the `end`."""
        self._last_frame: type[wire.Frame] = wire.End
        self._audio_bytes_left = self._trailing_bytes_left = 0
        self._has_response = False
        """Whether the request in flight has been acknowledged, or has audio."""

    def __repr__(self) -> str:
        return f"<Connection #{self.number} {self._socket.state.name} requests={self.requests}>"

    @classmethod
    async def open(
        cls,
        url: str,
        key: str,
        *,
        connect_timeout_s: float,
        max_trailing_audio_s: float = MAX_TRAILING_AUDIO_S,
    ) -> Self:
        """Open a socket. The key is sent as a header, since URLs end up in logs.

        Raises `ProviderTimeoutError` after `connect_timeout_s` seconds, `ConnectError`, or the
        error for the HTTP status of a refused handshake. Does not wait for the provider's
        greeting: nothing depends on it.
        """
        try:
            async with stall_tolerant_timeout(connect_timeout_s):
                return cls(
                    await _NoRedirects(
                        url,
                        additional_headers={"X-Api-Key": key},
                        compression=None,  # audio does not compress
                        ping_interval=None,  # `keep_alive` does it, and keeps `last_pong_at`
                        open_timeout=None,
                        close_timeout=CLOSE_TIMEOUT_S,
                        max_size=MAX_FRAME_BYTES,
                        create_connection=SlicedSocket,
                        # the simulator on a loopback port is never behind a proxy
                        proxy=True if url.startswith("wss:") else None,
                    ),
                    max_trailing_audio_s=max_trailing_audio_s,
                )
        except TimeoutError:
            raise errors.ProviderTimeoutError(f"no socket within {connect_timeout_s} s") from None
        except InvalidStatus as refusal:
            # `from None`: the exception holds the request, and that holds the key.
            raise _error_for_refusal(refusal) from None
        except (OSError, WebSocketException, ImportError, ValueError) as error:
            # The last two: an unusable proxy or host name. They must be caught: any other exception
            # would end the task group that owns all sockets.
            reason = "" if isinstance(error, _ERRORS_WITH_SECRETS) else f": {error}"
            raise errors.ConnectError(f"no socket: {type(error).__name__}{reason}") from None

    @property
    def is_open(self) -> bool:
        """Whether the socket can take a request. A network failure may not be known yet."""
        return self._socket.state is State.OPEN

    @property
    def close_error(self) -> errors.ProviderError:
        """The error for the close code of this socket."""
        return wire.error_from_close(self._socket.close_code, self._socket.close_reason or "")

    async def send(
        self,
        request: str,
        *,
        last_frame: type[wire.End] | type[wire.Transcript] = wire.End,
        max_audio_s: float = MAX_TRAILING_AUDIO_S,
    ) -> None:
        """Send a request. A frame of type `last_frame`, or a failure, ends its response.

        More audio than `max_audio_s` seconds could have is an error of the provider.

        Raises the error for the close code if the socket is closed.
        """
        self.requests += 1
        self.in_flight = True
        self._last_frame, self._has_response = last_frame, False
        self._audio_bytes_left = int(max_audio_s * MAX_AUDIO_BYTES_PER_S)
        self._trailing_bytes_left = self._max_trailing_bytes
        try:
            await self._socket.send(request)
        except ConnectionClosed:
            raise self.close_error from None

    async def receive(self) -> wire.Frame:
        """Wait for the next frame of the current request.

        Raises the error for the close code when the socket is closed. Audio of the previous
        request goes to `trailing` and is not returned. A second `end` of the previous request is
        skipped: before the `ack`, an `end` cannot belong to the current one.

        Raises `ProtocolError` for audio that goes on and on; the socket is of no use then.
        """
        while True:
            try:
                frame = wire.decode(await self._socket.recv())
            except ConnectionClosed:
                raise self.close_error from None
            self.last_pong_at = self._now()
            match frame:
                case wire.Audio(data) if self.trailing is not None:
                    self._trailing_bytes_left -= len(data)
                    if self._trailing_bytes_left < 0:
                        self.abort()  # a closing handshake would wait behind the audio
                        raise errors.ProtocolError(
                            "the audio goes on after its end (HAMSA_MAX_TRAILING_AUDIO_S)"
                        )
                    self.trailing.put(data)
                    continue
                case wire.Ack() if self.in_flight:
                    self.close_trailing()
                    self._has_response = True
                case wire.Audio(data):
                    self._has_response = True
                    self._audio_bytes_left -= len(data)
                    if self._audio_bytes_left < 0:
                        self.abort()
                        raise errors.ProtocolError(
                            "more audio than the text can take (TTS_MAX_MS_PER_CHAR)"
                        )
                case wire.End() if self.in_flight and not self._has_response and self.requests > 1:
                    continue  # a second `end` of the previous request
                case wire.Failure():
                    self.in_flight = False
                case _ if isinstance(frame, self._last_frame):
                    self.in_flight = False
            return frame

    def close_trailing(self) -> None:
        """Detach the sink for trailing audio, and tell it that no more will come."""
        if self.trailing is not None:
            self.trailing.close()
            self.trailing = None

    async def keep_alive(self, *, interval_s: float, timeout_s: float) -> None:
        """Ping every `interval_s` seconds until the socket closes.

        Closes it when no pong comes within `timeout_s` seconds, except while received audio waits
        to be read here: the pong is behind it.
        """
        while self.is_open:
            try:
                async with asyncio.timeout(interval_s):
                    await self._socket.wait_closed()
            except TimeoutError:
                await self._ping(timeout_s)

    async def _ping(self, timeout_s: float) -> None:
        pinged_at = self._now()
        try:
            async with stall_tolerant_timeout(
                timeout_s
            ):  # sending waits too, if the peer does not read
                await (await self._socket.ping())
        except TimeoutError:
            if self._socket.transport.is_reading() and self.last_pong_at <= pinged_at:
                self.abort()
        except ConnectionClosed:
            return
        else:
            self.last_pong_at = self._now()

    async def close(self) -> None:
        """Close with a closing handshake; after `CLOSE_TIMEOUT_S` without one."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close()
        except TimeoutError:
            self.abort()  # our close frame may be stuck behind data that the peer does not read
        except asyncio.CancelledError:
            self.abort()
            raise

    def abort(self) -> None:
        """Close at once, without a closing handshake."""
        self._socket.transport.abort()


class _NoRedirects(connect):
    """Connects without following redirects: the key must not be sent to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _error_for_refusal(refusal: InvalidStatus) -> errors.ProviderError:
    """Map the HTTP response to a refused handshake to an error.

    `RefusedError`, which is final, becomes `ConnectError`: only the socket is refused, before any
    request. Another transport may work.
    """
    response = refusal.response
    if 300 <= response.status_code < 400:
        return errors.ConnectError(f"refused to follow a redirect (HTTP {response.status_code})")
    error = wire.error_from_status(
        response.status_code,
        bytes(response.body or b"")[: wire.MAX_ERROR_BODY_BYTES],
        wire.retry_after_s(response.headers.get("Retry-After")),
    )
    if isinstance(error, errors.RefusedError):
        return errors.ConnectError(f"no socket: {error}")
    return error
