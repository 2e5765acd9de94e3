"""One attempt at a sentence: proved before anything of it is heard, judged at its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from app import errors
from app.audio import AudioFormat
from app.transports import completeness
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from app.transports.breaker import Breaker
from app.transports.hold_back import AttemptBuffer, ContinuationSplice, HoldBackBuffer


class Route:
    """A transport, and what was learned of it."""

    def __init__(self, transport: TTSTransport) -> None:
        self.transport = transport
        self.breaker = Breaker()

    def __repr__(self) -> str:
        return f"<Way {self.transport.name} {self.breaker}>"


class DeliveredAudio:
    """What the caller has heard of a sentence, whichever attempts it came from."""

    def __init__(self) -> None:
        self.position = 0
        """Bytes from the beginning of the sentence."""
        self.last_chunk = b""
        self.format: AudioFormat | None = None

    def buffer_for(self, stream: AudioStream) -> AttemptBuffer:
        """Return the gate of an attempt that begins now.

        Raises `ProtocolError` when it comes in another format than what was heard.
        """
        if self.position and stream.format != self.format:
            raise errors.ProtocolError(f"{stream.format} cannot continue {self.format}")
        if self.position:
            return ContinuationSplice(stream.format, self.position, self.last_chunk)
        return HoldBackBuffer(stream.format)


class AttemptRunner:
    """Takes one request through one way. Whoever gets a proved trial must `leave` it."""

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
        """Whether the breaker was open, and let it through to learn from it."""
        self._request = request
        self._delivered = delivered
        self._expected_ms = completeness.min_expected_duration_ms(request.text)
        self._context: AbstractAsyncContextManager[AudioStream] | None = None
        self._stream: AudioStream | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._buffer: AttemptBuffer | None = None
        self._first = b""
        self._ended = False
        self._judged = False
        """Whether the breaker knows what came of it: an answer is good when it is whole."""

    @property
    def stream(self) -> AudioStream:
        """The transport's own stream; only once proved."""
        assert self._stream is not None
        return self._stream

    @property
    def trailing(self) -> TrailingAudio | None:
        """Where audio that comes late is found."""
        return self.stream.trailing

    async def await_first_audio(self) -> None:
        """Begin, and take audio until some of it may be heard, or the answer is whole without any.

        Raises the `ProviderError` of an attempt that is worth nothing; nothing is left then.
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
        """Iterate over what may be heard. Raises the `ProviderError` that breaks it."""
        assert self._buffer is not None
        self._delivered.format = self.stream.format  # set here: of several that race, one is heard
        if self.stream.attempt is not None:
            self.stream.attempt.delivered = True
        chunk, self._first = self._first, b""
        while chunk or not self._ended:
            if chunk:
                self._delivered.position = self._buffer.position
                self._delivered.last_chunk = chunk
                yield chunk
            chunk = b"" if self._ended else await self._next()
        self.route.breaker.succeeded()
        self._judged = True

    async def release(self, error: BaseException | None = None) -> None:
        """Give the resources back, and tell transport and breaker what went wrong, if anything."""
        if not self._judged:
            self._judged = True
            if isinstance(error, errors.ProviderError):
                _learn(self.route, error, is_probe=self._is_probe)
            else:
                self.route.breaker.abandoned(is_probe=self._is_probe)
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
        """Wait for audio that may be heard; empty while none may, and at the end."""
        assert self._chunks is not None
        assert self._buffer is not None
        chunk = await anext(self._chunks, b"")
        if chunk:
            return self._buffer.feed(chunk)
        self._ended = True
        rest = self._buffer.finish()
        spoken_ms = self.stream.format.duration_ms(self._buffer.position)
        if spoken_ms < self._expected_ms:
            raise errors.IncompleteAudioError(
                f"{spoken_ms:.0f} ms of audio for a text that needs {self._expected_ms:.0f} ms"
            )
        return rest


async def start_first_available(
    order: list[Route], request: SpeechRequest, delivered: DeliveredAudio
) -> AttemptRunner:
    """Return a proved trial by the first of these ways that takes the request.

    A way whose pool has nothing to lease, or whose breaker is open, is passed over: that is no
    attempt. When all are, those with an open breaker are tried in spite of it, but none before
    the time that it has named.
    """
    now = asyncio.get_running_loop().time()
    suspended: list[Route] = []
    exhausted: errors.PoolExhaustedError | None = None
    for route in order:
        if not route.breaker.try_begin(now):
            suspended.append(route)
            continue
        try:
            return await _attempt(route, request, delivered, is_probe=not route.breaker.is_closed)
        except errors.PoolExhaustedError as error:
            exhausted = error
    for route in suspended:
        if route.breaker.blocked_until(now) > now:
            continue
        try:
            return await _attempt(route, request, delivered, is_probe=False)
        except errors.PoolExhaustedError as error:
            exhausted = error
    raise exhausted or errors.RateLimitedError("all ways have asked for time")


async def _attempt(
    route: Route, request: SpeechRequest, delivered: DeliveredAudio, *, is_probe: bool
) -> AttemptRunner:
    """Make one attempt, and let the way's breaker learn from it."""
    runner = AttemptRunner(route, request, delivered, is_probe=is_probe)
    try:
        await runner.await_first_audio()
    except errors.PoolExhaustedError:
        route.breaker.abandoned(is_probe=is_probe)
        raise
    except errors.ProviderError as error:
        _learn(route, error, is_probe=is_probe)
        raise
    except BaseException:
        route.breaker.abandoned(is_probe=is_probe)
        raise
    return runner


def _learn(route: Route, error: errors.ProviderError, *, is_probe: bool) -> None:
    """Tell the breaker; what is final says nothing about the way."""
    now = asyncio.get_running_loop().time()
    if isinstance(error, errors.RateLimitedError) and error.retry_after_s:
        route.breaker.block(now + error.retry_after_s)
    if error.retryable:
        route.breaker.failed(now, is_probe=is_probe)
    else:
        route.breaker.abandoned(is_probe=is_probe)
