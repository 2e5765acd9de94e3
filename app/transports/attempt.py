"""One attempt at a sentence: started, held back until it is usable, judged at its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from app import errors
from app.audio import AudioFormat
from app.transports import completeness
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio
from app.transports.hold_back import AttemptBuffer, ContinuationSplice, HoldBackBuffer
from app.transports.route import Route, rate_limited_error


class DeliveredAudio:
    """How much of a sentence was delivered, by whichever attempts."""

    def __init__(self) -> None:
        self.position = 0
        """Bytes from the beginning of the sentence."""
        self.last_chunk = b""
        self.format: AudioFormat | None = None

    def buffer_for(self, stream: AudioStream) -> AttemptBuffer:
        """Return the buffer of an attempt that begins now.

        Raises `ProtocolError` when its format differs from that of the delivered audio.
        """
        if self.position and stream.format != self.format:
            raise errors.ProtocolError(f"{stream.format} cannot continue {self.format}")
        if self.position:
            return ContinuationSplice(stream.format, self.position, self.last_chunk)
        return HoldBackBuffer(stream.format)


class AttemptRunner:
    """Runs one attempt at a request over one route.

    Whoever gets a runner after `await_first_audio` must call its `release`.
    """

    def __init__(
        self,
        route: Route,
        request: SpeechRequest,
        delivered: DeliveredAudio,
        *,
        is_probe: bool = True,
    ) -> None:
        self.route = route
        self._is_probe = is_probe
        """Whether this attempt can be the probe of an open breaker."""
        self._request = request
        self._delivered = delivered
        self._min_duration_ms = completeness.min_expected_duration_ms(request.text)
        self._context: AbstractAsyncContextManager[AudioStream] | None = None
        self._stream: AudioStream | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._buffer: AttemptBuffer | None = None
        self._first = b""
        self._ended = False
        self._is_recorded = False
        """Whether the breaker has been told the outcome."""

    @property
    def stream(self) -> AudioStream:
        """The stream of the transport, after `await_first_audio`."""
        assert self._stream is not None
        return self._stream

    @property
    def trailing(self) -> TrailingAudio | None:
        """The trailing audio of the stream."""
        return self.stream.trailing

    async def await_first_audio(self) -> None:
        """Start the attempt, and wait for audio that may be played, or for a complete end.

        A continuation can end without any audio that has not been delivered. Raises the
        `ProviderError` of an attempt that is unusable, and then holds no resources.
        """
        context = self.route.transport.synthesize(self._request)
        self._stream = await context.__aenter__()
        self._context = context
        try:
            self._chunks = aiter(self._stream)
            self._buffer = self._delivered.buffer_for(self._stream)
            while not self._first and not self._ended:
                self._first = await self._next()
        except BaseException as error:
            await self._exit(error)
            raise

    async def audio(self) -> AsyncIterator[bytes]:
        """Iterate over the audio that may be played, and count it as delivered.

        Raises the `ProviderError` with which the attempt fails. The format is recorded here and
        not before: of several attempts that race only the selected one is iterated over.
        """
        assert self._buffer is not None
        self._delivered.format = self.stream.format
        if self.stream.attempt is not None:
            self.stream.attempt.delivered = True
        chunk, self._first = self._first, b""
        while chunk or not self._ended:
            if chunk:
                self._delivered.position = self._buffer.position
                self._delivered.last_chunk = chunk
                yield chunk
            chunk = b"" if self._ended else await self._next()
        self.route.breaker.record_success()
        self._is_recorded = True

    async def release(self, error: BaseException | None = None) -> None:
        """Release all resources; `error` is what ended the attempt, if anything.

        The transport is told, since a failure costs its connection, and the breaker is told.
        """
        if not self._is_recorded:
            self._is_recorded = True
            if isinstance(error, errors.ProviderError):
                self.route.on_failure(error, is_probe=self._is_probe)
            else:
                self.route.breaker.record_abandoned(is_probe=self._is_probe)
        await self._exit(error)

    async def _exit(self, error: BaseException | None) -> None:
        context, self._context = self._context, None
        if context is None:
            return
        try:
            await context.__aexit__(type(error) if error else None, error, None)
        except errors.ProviderError as raised:
            if raised is not error:
                raise

    async def _next(self) -> bytes:
        """Wait for the next audio; empty while it is held back, and at the end.

        At the end the sentence is judged by all audio delivered of it, not by this attempt alone:
        a continuation brings only the rest.
        """
        assert self._chunks is not None
        assert self._buffer is not None
        chunk = await anext(self._chunks, b"")
        if chunk:
            return self._buffer.feed(chunk)
        self._ended = True
        rest = self._buffer.finish()
        duration_ms = self.stream.format.duration_ms(self._buffer.position)
        if duration_ms < self._min_duration_ms:
            raise errors.IncompleteAudioError(
                f"{duration_ms:.0f} ms of audio; the text needs {self._min_duration_ms:.0f} ms"
            )
        return rest


async def start_first_available(
    routes: Sequence[Route], request: SpeechRequest, delivered: DeliveredAudio
) -> AttemptRunner:
    """Start an attempt over the first route that accepts the request; wait for its first audio.

    A route whose pool has no free socket, or whose breaker is open, is passed over. If that leaves
    none, the routes with an open breaker are tried all the same, except those that are rate
    limited.

    Raises the `ProviderError` of the attempt, `PoolExhaustedError`, or `RateLimitedError`.
    """
    now = asyncio.get_running_loop().time()
    suspended: list[Route] = []
    exhausted: errors.PoolExhaustedError | None = None
    for route in routes:
        if not route.breaker.try_begin(now):
            suspended.append(route)
            continue
        try:
            return await _start(route, request, delivered, is_probe=not route.breaker.is_closed)
        except errors.PoolExhaustedError as error:
            exhausted = error
    for route in suspended:
        if route.breaker.blocked_until(now) > now:
            continue
        try:
            return await _start(route, request, delivered, is_probe=False)
        except errors.PoolExhaustedError as error:
            exhausted = error
    raise exhausted or rate_limited_error(routes, now)


async def _start(
    route: Route, request: SpeechRequest, delivered: DeliveredAudio, *, is_probe: bool
) -> AttemptRunner:
    """Start an attempt, and record its outcome in the breaker if it ends here.

    A pool without a free socket is no failure: nothing was sent.
    """
    runner = AttemptRunner(route, request, delivered, is_probe=is_probe)
    try:
        await runner.await_first_audio()
    except errors.PoolExhaustedError:
        route.breaker.record_abandoned(is_probe=is_probe)
        raise
    except errors.ProviderError as error:
        route.on_failure(error, is_probe=is_probe)
        raise
    except BaseException:
        route.breaker.record_abandoned(is_probe=is_probe)
        raise
    return runner
