"""TTS over the pool of persistent sockets."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from app.hamsa import wire
from app.hamsa.connection import Connection
from app.hamsa.tts_stream import HamsaStream
from app.pool.lease import Lease
from app.pool.pool import ConnectionPool
from app.transports.base import (
    AudioStream,
    LeaseTerms,
    SpeechRequest,
    TrailingAudio,
    TTSTransport,
)


class WebSocketTransport(TTSTransport):
    """Speaks over leased sockets, one request at a time on each.

    Trailing audio is awaited for `linger_s` seconds at most.
    """

    name = "websocket"

    def __init__(self, pool: ConnectionPool[Connection], *, linger_s: float) -> None:
        self._pool = pool
        self._linger_s = linger_s

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        """Speak one sentence over a socket of the pool."""
        async with self._pool.lease(terms) as lease:
            yield SocketStream(lease, request, linger_s=self._linger_s)

    async def warm_up(self, connections: int = 1) -> None:
        """Have sockets opened; do not wait for them."""
        self._pool.warm_up(connections)


class SocketStream(HamsaStream):
    """The audio of one request, which is sent when the first audio is awaited."""

    def __init__(
        self, lease: Lease[Connection], request: SpeechRequest, *, linger_s: float
    ) -> None:
        super().__init__(wire.nearest_supported_format(request.format))
        self.connection = "reused" if lease.reused else "new"
        self._socket = lease.connection
        self._request = request
        self._linger_s = linger_s

    async def raw_chunks(self) -> AsyncGenerator[bytes, None]:
        """Send the request, and iterate over its audio; later audio goes to `trailing`."""
        request = self._request
        message = wire.tts_request(
            request.text,
            speaker=request.voice.speaker,
            dialect=request.voice.dialect,
            language=request.language,
            format=request.format,
        )
        await self._socket.send(message, max_audio_s=request.max_duration_ms / 1000)
        while True:
            match await self._socket.receive():
                case wire.Audio(data):
                    yield data
                case wire.Failure(error):
                    raise error
                case wire.End():
                    self.trailing = self._socket.trailing = TrailingAudio(self._linger_s)
                    return
