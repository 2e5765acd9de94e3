"""One attempt of any transport within all limits. Transports are strangers, ours and others'.

Whatever they do, an attempt ends: with audio, or with a `ProviderError`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Literal

import structlog

from app import errors
from app.audio import AudioFormat, SampleAligner
from app.pool.terms import LeaseTerms
from app.telemetry.speech_metrics import SpeechMetrics
from app.timeouts import ReusableTimeout, stall_tolerant_timeout
from app.transports.base import Attempt, AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from app.transports.policy import StreamLimits

log = structlog.get_logger(__name__)

_logged: set[tuple[str, type[BaseException]]] = set()
"""Defects whose traceback is in the log: a transport that always fails fills it otherwise."""


class BoundedStream:
    """The audio of one attempt: sample-aligned, and bounded in time and size.

    After `begin` has returned, `release` must be called. Both record the attempt in `record`.
    """

    def __init__(
        self,
        transport: TTSTransport,
        request: SpeechRequest,
        terms: LeaseTerms,
        limits: StreamLimits,
        *,
        record: Attempt,
        metrics: SpeechMetrics,
    ) -> None:
        self.record = record
        self.format: AudioFormat = request.format
        """Final after `begin`."""
        self._transport = transport
        self._request = request
        self._terms = terms
        self._limits = limits
        self._metrics = metrics
        self._max_duration_ms = request.max_duration_ms
        self._left_s = limits.total_timeout_s(self._max_duration_ms / 1000)
        self._received_bytes = self._max_bytes = 0
        self._context: AbstractAsyncContextManager[AudioStream] | None = None
        self._stream: AudioStream | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._aligner = SampleAligner(1)
        self._stall_timeout = ReusableTimeout()

    @property
    def trailing(self) -> TrailingAudio | None:
        """The trailing audio, once the stream has ended; None if there can be none."""
        return self._stream.trailing if self._stream is not None else None

    async def begin(self) -> bytes:
        """Start the attempt, and return its first audio.

        Raises a `ProviderError` if there is none in time; the attempt then holds no resources.
        """
        try:
            return await self._begin()
        except BaseException as error:
            ours = self._as_provider_error(error)
            await self.release(ours or error)
            if ours is None:
                raise
            raise ours from None

    async def next(self) -> bytes:
        """Return the next audio; empty at the end. Raises a `ProviderError` when it fails."""
        timeout_s = min(self._limits.stall_timeout_s, self._left_s)
        try:
            return await self._stall_timeout.wait_for(self._read(), timeout_s)
        except TimeoutError:
            raise errors.ProviderTimeoutError(
                f"no audio for {self._limits.stall_timeout_s} s"
                if timeout_s == self._limits.stall_timeout_s
                else "the audio comes more slowly than it plays"
            ) from None
        except BaseException as error:
            if (ours := self._as_provider_error(error)) is None:
                raise
            raise ours from None
        finally:
            self._left_s -= self._stall_timeout.waited_s

    async def release(self, error: BaseException | None) -> None:
        """Release all resources; `error` is what ended the attempt, if anything.

        The transport gets the error: after a failure it does not reuse the connection.
        """
        self._stall_timeout.close()
        context, self._context = self._context, None
        if context is None:
            return
        try:
            async with stall_tolerant_timeout(self._limits.release_timeout_s):
                close = getattr(self._chunks, "aclose", None)
                if close is not None:
                    await close()
                await context.__aexit__(type(error) if error else None, error, None)
        except Exception as raised:  # noqa: BLE001 - the outcome of the attempt is known already
            if raised is not error:
                log_defect(self._transport.name, raised)

    async def _begin(self) -> bytes:
        """Enter the transport's context, and read up to the first samples.

        The time runs from the request: the wait for a connection of a pool does not count.
        """
        timeout_s = self._limits.first_audio_timeout_s
        terms = self._terms
        try:
            async with stall_tolerant_timeout(timeout_s) as limit:
                terms.waiting = limit.paused
                context = self._transport.synthesize(self._request, terms)
                self._stream = await context.__aenter__()
                self._context = context
                self._chunks = aiter(self._stream)
                first = await self._first_samples()
        except TimeoutError:
            raise errors.ProviderTimeoutError(f"no first audio within {timeout_s} s") from None
        finally:
            self.record.connection = _connection(terms, self._stream)
            self.record.request_id = self._stream.request_id if self._stream is not None else None
        self.record.first_audio_at = now = asyncio.get_running_loop().time()
        self.record.ttfb_ms = (now - limit.began_at) * 1000
        return first

    async def _first_samples(self) -> bytes:
        """Return the first samples: with them the format is known."""
        assert self._chunks is not None
        assert self._stream is not None
        data = b""
        async for chunk in self._chunks:
            data += chunk
            self._use_format(self._stream.format)
            if samples := self._aligner.feed(data):
                self._received_bytes = len(samples)
                if self._received_bytes > self._max_bytes:
                    raise self._too_long()
                return samples
        raise errors.IncompleteAudioError("the provider sent no audio")

    def _use_format(self, format: AudioFormat) -> None:
        self.format = format
        self._aligner = SampleAligner(format.bytes_per_sample)
        self._max_bytes = int(self._max_duration_ms * format.bytes_per_second / 1000)

    async def _read(self) -> bytes:
        """Wait for the next samples; empty at the end."""
        assert self._chunks is not None
        async for chunk in self._chunks:
            if samples := self._aligner.feed(chunk):
                self._received_bytes += len(samples)
                if self._received_bytes > self._max_bytes:
                    raise self._too_long()
                return samples
        if (trailing := self.trailing) is not None:
            trailing.follow(self._aligner, self._metrics)
        return b""

    def _too_long(self) -> errors.ProtocolError:
        """Return the error for audio that is longer than the text could ever take."""
        return errors.ProtocolError(
            f"more than {self._max_duration_ms / 1000:.0f} s of audio for this text "
            "(TTS_MAX_MS_PER_CHAR)"
        )

    def _as_provider_error(self, error: BaseException) -> errors.ProviderError | None:
        """Return what an attempt fails with; None if it was cancelled, and has not failed.

        Whatever a transport raises is its failure. So is a `CancelledError` that nobody asked for.
        """
        if isinstance(error, errors.ProviderError):
            return error
        task = asyncio.current_task()
        is_cancelled = isinstance(error, asyncio.CancelledError) and task and task.cancelling()
        if is_cancelled or not isinstance(error, Exception | asyncio.CancelledError):
            return None
        log_defect(self._transport.name, error)
        return errors.StrategyFailedError(
            f"transport {self._transport.name!r} raised {type(error).__name__}"
        )


def _connection(terms: LeaseTerms, stream: AudioStream | None) -> Literal["new", "reused"] | None:
    """Return what the pool tells of the connection, or the stream if there is no pool."""
    if terms.reused is not None:
        return "reused" if terms.reused else "new"
    return stream.connection if stream is not None else None


def log_defect(transport: str, error: BaseException) -> None:
    """Log an exception that no transport should raise; its traceback once for each kind."""
    kind = (transport, type(error))
    log.error(
        "transport failed",
        transport=transport,
        error=type(error).__name__,
        exc_info=None if kind in _logged else error,
    )
    _logged.add(kind)
