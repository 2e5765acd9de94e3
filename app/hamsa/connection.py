"""One socket to the provider: opens, sends a request, yields decoded frames."""

import asyncio
import itertools
from typing import Protocol, Self

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

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Largest frame taken from the provider; 64 KB is the largest that was seen."""

MAX_ERROR_BODY_BYTES = 4096
"""As much of a refusal's body as is read for its reason."""

CLOSE_TIMEOUT_S = 2.0
"""Longest closing of a socket: a round trip and some, and well within a stop of the gateway."""

_QUOTING = (InvalidHeader, InvalidURI, InvalidProxy, ProxyError)
"""Exceptions whose text quotes headers or addresses."""

_numbers = itertools.count(1)


class AudioSink(Protocol):
    """Takes audio that comes after the `end` of its request."""

    def put(self, data: bytes) -> None:
        """Take a piece."""

    def close(self) -> None:
        """Learn that no more can come."""


class Connection:
    """A socket that serves one request after another.

    Frames carry no request id, so it knows the border between two requests: while `late` is set,
    audio still belongs to the request before, until the `ack` of the next one closes it.
    All times are seconds of the running loop's clock.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.number = next(_numbers)
        self.opened_at = asyncio.get_running_loop().time()
        self.last_pong_at = self.opened_at
        """When the peer was heard last; a frame is as good as a pong."""
        self.requests = 0
        self.in_flight = False
        """Whether a request was sent whose answer has not ended."""
        self.trailing: AudioSink | None = None
        """Takes the audio that comes before the `ack` of the next request."""
        self._last_frame: type[wire.Frame] = wire.End
        self._begun = False
        """Whether anything of the answer in flight has come."""

    def __repr__(self) -> str:
        return f"<Connection #{self.number} {self._socket.state.name} requests={self.requests}>"

    @classmethod
    async def open(cls, url: str, key: str, *, connect_timeout_s: float) -> Self:
        """Open a socket. The key travels as a header.

        Raises `ConnectError`, `ProviderTimeoutError`, or what a refused handshake's status means.
        The provider's greeting is not waited for: nothing depends on it.
        """
        try:
            async with asyncio.timeout(connect_timeout_s):
                return cls(
                    await _NoRedirects(
                        url,
                        additional_headers={"X-Api-Key": key},
                        compression=None,  # audio does not compress
                        ping_interval=None,  # `keep_alive` does it, and knows the last pong
                        open_timeout=None,
                        close_timeout=CLOSE_TIMEOUT_S,
                        max_size=MAX_FRAME_BYTES,
                        proxy=True
                        if url.startswith("wss:")
                        else None,  # never between loopback ports
                    )
                )
        except TimeoutError:
            raise errors.ProviderTimeoutError(f"no socket within {connect_timeout_s} s") from None
        except InvalidStatus as refusal:
            # `from None`: the exception carries the request, and that carries the key.
            raise _refused(refusal) from None
        except (OSError, WebSocketException, ImportError, ValueError) as error:
            # The last two: a proxy or a host name that cannot be used. Whatever else came out of
            # here would end the task group that all sockets live in. The texts of some of them
            # quote what may be a password, the key or a token.
            reason = "" if isinstance(error, _QUOTING) else f": {error}"
            raise errors.ConnectError(f"no socket: {type(error).__name__}{reason}") from None

    @property
    def is_open(self) -> bool:
        """Whether the socket can take a request, as far as is known here."""
        return self._socket.state is State.OPEN

    @property
    def closed_with(self) -> errors.ProviderError:
        """What the closing of this socket means."""
        return wire.error_from_close(self._socket.close_code, self._socket.close_reason or "")

    async def send(
        self, request: str, *, last_frame: type[wire.End] | type[wire.Transcript] = wire.End
    ) -> None:
        """Send a request; `last_frame` or a failure ends its answer.

        Raises what the socket's close code means.
        """
        self.requests += 1
        self.in_flight = True
        self._last_frame, self._begun = last_frame, False
        try:
            await self._socket.send(request)
        except ConnectionClosed:
            raise self.closed_with from None

    async def receive(self) -> wire.Frame:
        """Wait for the next frame of the current request. Raises what the close code means."""
        while True:
            try:
                frame = wire.decode(await self._socket.recv())
            except ConnectionClosed:
                raise self.closed_with from None
            self.last_pong_at = asyncio.get_running_loop().time()
            match frame:
                case wire.Audio(data) if self.trailing is not None:
                    self.trailing.put(data)
                    continue
                case wire.Ack() if self.in_flight:
                    self.close_trailing()
                    self._begun = True
                case wire.Audio():
                    self._begun = True
                case wire.End() if self.in_flight and not self._begun and self.requests > 1:
                    continue  # said once more of the request before
                case wire.Failure():
                    self.in_flight = False
                case _ if isinstance(frame, self._last_frame):
                    self.in_flight = False
            return frame

    def close_trailing(self) -> None:
        """Say that nothing of the request before can come any more."""
        if self.trailing is not None:
            self.trailing.close()
            self.trailing = None

    async def keep_alive(self, *, interval_s: float, timeout_s: float) -> None:
        """Ping until the socket closes; a pong that stays out closes it.

        Not while audio waits to be read here: the pong waits behind it.
        """
        while self.is_open:
            try:
                async with asyncio.timeout(interval_s):
                    await self._socket.wait_closed()
            except TimeoutError:
                await self._ping(timeout_s)

    async def _ping(self, timeout_s: float) -> None:
        asked_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(timeout_s):  # even sending waits for a peer that reads
                await (await self._socket.ping())
        except TimeoutError:
            if self._socket.transport.is_reading() and self.last_pong_at <= asked_at:
                self.abort()
        except ConnectionClosed:
            return
        else:
            self.last_pong_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Close politely, and within `CLOSE_TIMEOUT_S` whatever the peer does."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close()
        except TimeoutError:
            self.abort()  # its close frame is stuck behind what the peer does not read

    def abort(self) -> None:
        """Close at once, without a closing handshake."""
        self._socket.transport.abort()


class _NoRedirects(connect):
    """The client's `connect`, but a redirect is a refusal: the key must not travel on."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _refused(refusal: InvalidStatus) -> errors.ProviderError:
    response = refusal.response
    if 300 <= response.status_code < 400:
        return errors.ConnectError(f"refused to follow a redirect (HTTP {response.status_code})")
    error = wire.error_from_status(
        response.status_code,
        bytes(response.body or b"")[:MAX_ERROR_BODY_BYTES],
        wire.retry_after_s(response.headers.get("Retry-After")),
    )
    if isinstance(error, errors.RefusedError):
        # Nothing was asked yet: what is refused is the socket, and another way may work.
        return errors.ConnectError(f"no socket: {error}")
    return error
