"""One attempt at a sentence: started, held back until it is usable, judged at its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from app import errors
from app.audio import AudioFormat, Converter
from app.transports.base import Attempt, TrailingAudio
from app.transports.bounded_stream import BoundedStream
from app.transports.hold_back import AttemptBuffer
from app.transports.route import Route, rate_limited_error
from app.transports.sentence_attempts import SentenceAttempts


class AttemptRunner:
    """Runs one attempt at a sentence over one route.

    After `await_first_audio` has returned, `release` must be called.
    """

    def __init__(self, route: Route, sentence: SentenceAttempts, *, is_probe: bool = True) -> None:
        self.route = route
        self._is_probe = is_probe
        """Whether this attempt can be the probe of an open breaker."""
        self._sentence = sentence
        self._stream: BoundedStream | None = None
        self._buffer: AttemptBuffer | None = None
        self._converter: Converter | None = None
        self._is_continuation = sentence.delivered_over is not None
        self._first_audio = b""
        self._ended = False
        self._is_recorded = False
        """Whether the breaker has recorded the outcome."""

    @property
    def format(self) -> AudioFormat:
        """The format of the audio, after `await_first_audio`: that of what was delivered before."""
        assert self._stream is not None
        return self._sentence.format or self._stream.format

    @property
    def record(self) -> Attempt:
        """The record of this attempt."""
        assert self._stream is not None
        return self._stream.record

    @property
    def trailing(self) -> TrailingAudio | None:
        """The trailing audio of the stream."""
        return self._stream.trailing if self._stream is not None else None

    async def await_first_audio(self) -> None:
        """Start the attempt, and wait for audio that may be played, or for a complete end.

        A continuation may end without new audio, if all of it was delivered before. Raises a
        `ProviderError` if the attempt fails; it then holds no resources.
        """
        self._stream = self._sentence.begin(self.route)
        try:
            chunk = await self._stream.begin()
            self._converter = Converter(self._stream.format, self.format)
            self._buffer = self._sentence.buffer_for(self.route, self.format)
            self._first_audio = self._buffer.feed(self._converter.feed(chunk))
            while not self._first_audio and not self._ended:
                self._first_audio = self._playable(await self._stream.next())
        except BaseException as error:
            await self._end(error)
            raise

    async def audio(self) -> AsyncIterator[bytes]:
        """Iterate over the audio that may be played, and count it as delivered.

        Raises the `ProviderError` with which the attempt fails. The format is set here and not
        before: of several attempts that race, only the selected one is iterated over.
        """
        assert self._stream is not None
        assert self._buffer is not None
        self._sentence.format = self.format
        self.record.delivered = True
        chunk, self._first_audio = self._first_audio, b""
        while chunk or not self._ended:
            if chunk:
                self._sentence.on_delivered(self.route, self._buffer.position, chunk)
                yield chunk
            chunk = b"" if self._ended else self._playable(await self._stream.next())
        if not self._is_continuation:
            duration_ms = self.format.duration_ms(self._buffer.position)
            self.route.on_spoken(duration_ms, self._sentence.request.speakable_chars)
        self.route.on_success()
        self._is_recorded = True

    async def release(self, error: BaseException | None = None) -> None:
        """Release all resources; `error` is what ended the attempt, if anything.

        The breaker records the outcome. The transport gets the error, and after a failure it does
        not reuse the connection.
        """
        if not self._is_recorded:
            self._is_recorded = True
            if isinstance(error, errors.ProviderError):
                self.route.on_failure(error, is_probe=self._is_probe)
            else:
                self.route.breaker.record_abandoned(is_probe=self._is_probe)
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        """Release the stream, and complete the record."""
        assert self._stream is not None
        try:
            await self._stream.release(error)
        finally:
            record = self._stream.record
            self._sentence.end(
                record,
                error,
                is_complete=self._ended and record.delivered,
                is_news=not self.route.is_down,
            )

    def _playable(self, chunk: bytes) -> bytes:
        """Return the audio that may be played now that a chunk has come; an empty one is the end.

        At the end the sentence is judged by all audio delivered of it, not by this attempt alone:
        a continuation brings only the rest.
        """
        assert self._buffer is not None
        assert self._converter is not None
        if chunk:
            converted = self._converter.feed(chunk) if self._converter.converts else chunk
            return self._buffer.feed(converted)
        self._ended = True
        rest = self._buffer.feed(self._converter.flush()) + self._buffer.finish()
        duration_ms = self.format.duration_ms(self._buffer.position)
        if duration_ms < self._sentence.request.min_duration_ms:
            raise errors.IncompleteAudioError(
                f"{duration_ms:.0f} ms of audio; the text needs "
                f"{self._sentence.request.min_duration_ms:.0f} ms"
            )
        return rest


async def start_first_available(
    routes: Sequence[Route], sentence: SentenceAttempts
) -> AttemptRunner:
    """Start an attempt over the first route that accepts the request; wait for its first audio.

    A route whose pool has no free socket, or whose breaker is open, is passed over. If that leaves
    none, the routes with an open breaker are tried all the same, except those that are rate
    limited. A final error ends the sentence for all routes of its provider, and for those alone.

    Raises the `ProviderError` of the attempt, `PoolExhaustedError`, or `RateLimitedError`.
    """
    now = asyncio.get_running_loop().time()
    suspended: list[Route] = []
    error: errors.ProviderError | None = None
    for route in filter(sentence.accepts, routes):
        if not route.breaker.try_begin(now):
            suspended.append(route)
            continue
        try:
            return await _start(route, sentence, is_probe=not route.breaker.is_closed)
        except errors.ProviderError as raised:
            error = _to_pass_over(raised, route, routes, sentence)
    for route in filter(sentence.accepts, suspended):
        if route.breaker.blocked_until(now) > now:
            continue
        try:
            return await _start(route, sentence, is_probe=False)
        except errors.ProviderError as raised:
            error = _to_pass_over(raised, route, routes, sentence)
    raise error or rate_limited_error(routes, now)


def _to_pass_over(
    error: errors.ProviderError, route: Route, routes: Sequence[Route], sentence: SentenceAttempts
) -> errors.ProviderError:
    """Return an error for which the next route is tried in the same round; raise any other."""
    if isinstance(error, errors.PoolExhaustedError):
        return error
    if error.retryable or not refuse(error, route, routes, sentence):
        raise error
    return error


def refuse(
    error: errors.ProviderError, route: Route, routes: Sequence[Route], sentence: SentenceAttempts
) -> bool:
    """Record a final error; return whether a route of another provider is left."""
    sentence.refusals[route.provider] = error
    if not any(map(sentence.accepts, routes)):
        return False
    for other in routes:
        if other.provider == route.provider:
            other.on_refusal(error)
    return True


async def _start(route: Route, sentence: SentenceAttempts, *, is_probe: bool) -> AttemptRunner:
    """Start an attempt, and record its outcome in the breaker if it ends here.

    A pool without a free socket is no failure: nothing was sent.
    """
    runner = AttemptRunner(route, sentence, is_probe=is_probe)
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
