"""TTS over the pool of persistent sockets."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from app.audio import AudioFormat
from app.hamsa import wire
from app.hamsa.connection import Connection
from app.pool.pool import ConnectionPool
from app.transports.base import (
    AudioStream,
    LeaseTerms,
    SpeechRequest,
    TrailingAudio,
    TTSTransport,
)
from app.transports.headerless_stream import HeaderlessStream


class WebSocketTransport(TTSTransport):
    """Speaks over leased sockets, one request at a time on each.

    Trailing audio is awaited for `linger_s` seconds at most.
    """

    name = "websocket"
    provider = "hamsa"

    def __init__(self, pool: ConnectionPool[Connection], *, linger_s: float) -> None:
        self._pool = pool
        self._linger_s = linger_s

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        """Speak one sentence over a socket of the pool."""
        message = wire.tts_request(
            request.text,
            speaker=request.voice.speaker,
            dialect=request.voice.dialect,
            language=request.language,
            format=request.format,
        )
        format = wire.nearest_supported_format(request.format)
        async with self._pool.lease(terms) as lease:
            socket = lease.connection
            await socket.send(message, max_audio_s=request.max_duration_ms / 1000)
            yield SocketStream(format, socket, linger_s=self._linger_s)

    async def warm_up(self, connections: int = 1) -> None:
        """Have sockets opened; do not wait for them."""
        self._pool.warm_up(connections)

    def is_usable(self, now: float) -> bool:
        """Tell whether a socket is open, or none has failed to open."""
        return self._pool.is_usable


class SocketStream(HeaderlessStream):
    """The response to one request on a socket; audio after its end goes to `trailing`."""

    def __init__(self, format: AudioFormat, socket: Connection, *, linger_s: float) -> None:
        super().__init__(format)
        self._socket = socket
        self._linger_s = linger_s

    async def raw_chunks(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the audio frames up to `end`."""
        while True:
            match await self._socket.receive():
                case wire.Audio(data):
                    yield data
                case wire.Failure(error):
                    raise error
                case wire.End():
                    self.trailing = self._socket.trailing = TrailingAudio(self._linger_s)
                    return
