"""Text to speech over the pool of persistent sockets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app import errors
from app.hamsa import wire
from app.hamsa.connection import Connection
from app.hamsa.pool import ConnectionPool
from app.transports.base import AudioStream, SpeechRequest, TTSTransport
from app.transports.provider_stream import ProviderStream

FAILURES_TO_OPEN_A_SOCKET = 2
"""One may be bad luck; when the next fails too, the other way is no way."""


MAX_ACQUIRE_TIMEOUT_S = 0.5
"""Longest that failures make a request wait for a socket: two attempts by REST take as long, and
when every second one is truncated they are the better chance."""


class WebSocketTransport(TTSTransport):
    """Speaks over a leased socket, one request at a time.

    `first_audio_timeout_s` bounds the wait for the first audio, `stall_timeout_s` each silence
    after it, `linger_s` the wait for audio that comes after the end. `patience_s` bounds the wait
    for a socket; without it the pool's own limit does. Unless it `may_open`, a request takes a
    socket that is there, or none. A sentence that is made ahead waits for one, and opens none; so
    that it need not wait, `warm_connections` are opened ahead of need.

    The more attempts have failed, the better is a socket that comes late: the patience doubles
    with each of them up to `MAX_PATIENCE_S`; after `FAILURES_TO_OPEN_A_SOCKET` one may be opened.
    """

    name = "websocket"

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        first_audio_timeout_s: float,
        stall_timeout_s: float,
        linger_s: float,
        acquire_timeout_s: float | None = None,
        allow_connect: bool = True,
        warm_connections: int = 1,
    ) -> None:
        self._pool = pool
        self._acquire_timeout_s = (
            acquire_timeout_s if acquire_timeout_s is not None else pool.lease_timeout_s
        )
        self._allow_connect = allow_connect
        self._warm_connections = warm_connections
        self._first_audio_timeout_s = first_audio_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._linger_s = linger_s

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        """Speak one sentence over a socket of the pool."""
        failures = sum(attempt.fault is not None for attempt in request.attempts)
        grown_s = min(self._acquire_timeout_s * 2**failures, MAX_ACQUIRE_TIMEOUT_S)
        acquire_timeout_s = max(self._acquire_timeout_s, grown_s)
        allow_connect = self._allow_connect or failures >= FAILURES_TO_OPEN_A_SOCKET
        with request.attempt(self.name) as attempt:
            async with self._pool.lease(
                acquire_timeout_s, allow_connect=allow_connect, needed_now=request.needed_now
            ) as lease:
                stream = ProviderStream(
                    attempt,
                    wire.nearest_supported_format(request.format),
                    stall_timeout_s=self._stall_timeout_s,
                )
                async with aclosing(stream):
                    attempt.mark_sent("reused" if lease.reused else "new")
                    await self._ask(lease.connection, request, stream)
                    yield stream

    async def warm_up(self) -> None:
        """Have sockets opened."""
        self._pool.warm_up(self._warm_connections)

    async def _ask(
        self, connection: Connection, request: SpeechRequest, stream: ProviderStream
    ) -> None:
        message = wire.tts_request(
            request.text,
            speaker=request.voice.speaker,
            dialect=request.voice.dialect,
            language=request.language,
            format=request.format,
        )
        try:
            async with asyncio.timeout(self._first_audio_timeout_s):
                await connection.send(message)
                await stream.begin(_audio_of(connection, stream, self._linger_s))
        except TimeoutError:
            raise errors.ProviderTimeoutError(
                f"no first audio within {self._first_audio_timeout_s} s"
            ) from None


async def _audio_of(
    connection: Connection, stream: ProviderStream, linger_s: float
) -> AsyncGenerator[bytes, None]:
    """Yield the audio frames of one answer; after `end`, late ones are led to the stream."""
    while True:
        match await connection.receive():
            case wire.Audio(data):
                yield data
            case wire.Failure(error):
                raise error
            case wire.End():
                connection.trailing = stream.trailing_audio(linger_s)
                return
