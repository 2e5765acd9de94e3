"""TTS over the pool of persistent sockets."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app import errors
from app.hamsa import wire
from app.hamsa.connection import Connection
from app.hamsa.pool import ConnectionPool
from app.timeouts import stall_tolerant_timeout
from app.transports.base import AudioStream, SpeechRequest, TTSTransport
from app.transports.completeness import MAX_MS_PER_CHAR, max_expected_duration_ms
from app.transports.provider_stream import ProviderStream

FAILURES_BEFORE_CONNECT = 2
"""Failed attempts after which a socket may be opened even where `allow_connect` is False.

One may be bad luck. After two, the other transport is probably down.
"""

MAX_ACQUIRE_TIMEOUT_S = 0.5
"""Longest wait for a socket, however many attempts have failed.

In the same time REST can make two attempts (`docs/hamsa.md`, Timing), which are more likely to
succeed even if every second stream is truncated.
"""


class WebSocketTransport(TTSTransport):
    """Speaks over leased sockets, one request at a time on each.

    Times whose names end in `_s` are seconds.

    `first_audio_timeout_s`: longest wait for the first audio.
    `stall_timeout_s`: longest silence after it.
    `linger_s`: longest wait for trailing audio.
    `max_ms_per_char`: longest audio for each speakable character, in milliseconds.
    `acquire_timeout_s`: longest wait for a socket; None is the limit of the pool.
    `allow_connect`: whether a socket may be opened for a request that gets none.
    `warm_connections`: how many sockets `warm_up` opens, so that prefetches find one.

    A socket is the more worth waiting for, the more attempts at the sentence have failed. Each
    failure doubles the wait, up to `MAX_ACQUIRE_TIMEOUT_S`, and after `FAILURES_BEFORE_CONNECT` a
    socket may be opened.
    """

    name = "websocket"

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        first_audio_timeout_s: float,
        stall_timeout_s: float,
        linger_s: float,
        max_ms_per_char: float = MAX_MS_PER_CHAR,
        acquire_timeout_s: float | None = None,
        allow_connect: bool = True,
        warm_connections: int = 1,
    ) -> None:
        self._pool = pool
        self._acquire_timeout_s = (
            acquire_timeout_s if acquire_timeout_s is not None else pool.acquire_timeout_s
        )
        self._allow_connect = allow_connect
        self._warm_connections = warm_connections
        self._first_audio_timeout_s = first_audio_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._linger_s = linger_s
        self._max_ms_per_char = max_ms_per_char

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        """Speak one sentence over a socket of the pool."""
        failures = sum(attempt.fault is not None for attempt in request.attempts)
        doubled_s = min(self._acquire_timeout_s * 2**failures, MAX_ACQUIRE_TIMEOUT_S)
        acquire_timeout_s = max(self._acquire_timeout_s, doubled_s)
        allow_connect = self._allow_connect or failures >= FAILURES_BEFORE_CONNECT
        with request.attempt(self.name) as attempt:
            async with self._pool.lease(
                acquire_timeout_s, allow_connect=allow_connect, needed_now=request.needed_now
            ) as lease:
                stream = ProviderStream(
                    attempt,
                    wire.nearest_supported_format(request.format),
                    stall_timeout_s=self._stall_timeout_s,
                    max_duration_ms=max_expected_duration_ms(request.text, self._max_ms_per_char),
                )
                async with aclosing(stream):
                    attempt.mark_sent("reused" if lease.reused else "new")
                    await self._begin(lease.connection, request, stream)
                    yield stream

    async def warm_up(self) -> None:
        """Have sockets opened; do not wait for them."""
        self._pool.warm_up(self._warm_connections)

    async def _begin(
        self, connection: Connection, request: SpeechRequest, stream: ProviderStream
    ) -> None:
        """Send the request and wait for its first audio.

        The timeout covers the sending, too, which blocks when the peer does not read.
        """
        message = wire.tts_request(
            request.text,
            speaker=request.voice.speaker,
            dialect=request.voice.dialect,
            language=request.language,
            format=request.format,
        )
        max_audio_s = max_expected_duration_ms(request.text, self._max_ms_per_char) / 1000
        try:
            async with stall_tolerant_timeout(self._first_audio_timeout_s):
                await connection.send(message, max_audio_s=max_audio_s)
                await stream.begin(_audio_frames(connection, stream, self._linger_s))
        except TimeoutError:
            raise errors.ProviderTimeoutError(
                f"no first audio within {self._first_audio_timeout_s} s"
            ) from None


async def _audio_frames(
    connection: Connection, stream: ProviderStream, linger_s: float
) -> AsyncGenerator[bytes, None]:
    """Yield the audio frames up to `end`; later ones go to the trailing audio of `stream`."""
    while True:
        match await connection.receive():
            case wire.Audio(data):
                yield data
            case wire.Failure(error):
                raise error
            case wire.End():
                connection.trailing = stream.expect_trailing_audio(linger_s)
                return
