"""The provider's bytes as audio: without a header, sample-aligned, with a limit on each silence."""

import math
from collections.abc import AsyncGenerator, AsyncIterator

from app import errors
from app.audio import AudioFormat, HeaderStripper, SampleAligner
from app.timeouts import ReusableTimeout
from app.transports.base import Attempt, AudioStream, TrailingAudio


class ProviderStream(AudioStream):
    """Turns the raw chunks of one attempt into samples.

    `format` is what was requested; a header overrides it. `stall_timeout_s` bounds each silence
    after the first audio, in seconds. `max_duration_ms` is the longest possible audio.
    """

    def __init__(
        self,
        attempt: Attempt,
        format: AudioFormat,
        *,
        stall_timeout_s: float,
        max_duration_ms: float = math.inf,
    ) -> None:
        self.format = format
        self.attempt: Attempt = attempt
        self._stall_timeout_s = stall_timeout_s
        self._max_duration_ms = max_duration_ms
        self._received_bytes = 0
        self._header = HeaderStripper()
        self._aligner = SampleAligner(format.bytes_per_sample)
        self._source: AsyncGenerator[bytes, None] | None = None
        self._first = b""
        self._stall_timeout = ReusableTimeout()

    async def begin(self, source: AsyncGenerator[bytes, None]) -> None:
        """Wait for the first audio of `source`; from then on `format` is final. Call it once.

        Raises `IncompleteAudioError` if there is none. The caller bounds the wait.
        """
        self._source = source
        self._first = await self._next()
        if not self._first:
            raise errors.IncompleteAudioError("the provider sent no audio")
        self.attempt.mark_first_byte()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunk = self._first
        while chunk:
            yield chunk
            try:
                chunk = await self._stall_timeout.wait_for(self._next(), self._stall_timeout_s)
            except TimeoutError:
                raise errors.ProviderTimeoutError(
                    f"no audio for {self._stall_timeout_s} s"
                ) from None

    async def aclose(self) -> None:
        """Close the source."""
        self._stall_timeout.close()
        if self._source is not None:
            await self._source.aclose()

    def expect_trailing_audio(self, wait_s: float) -> "TrailingSamples":
        """Return a sink for audio that may arrive within `wait_s` seconds after the end."""
        self.trailing = TrailingAudio(wait_s, self.attempt.metrics)
        return TrailingSamples(self.trailing, self._aligner)

    def _count(self, samples: bytes) -> None:
        """Raise `ProtocolError` when the audio is longer than the text could ever take."""
        self._received_bytes += len(samples)
        if self.format.duration_ms(self._received_bytes) > self._max_duration_ms:
            raise errors.ProtocolError(
                f"more than {self._max_duration_ms / 1000:.0f} s of audio for this text "
                "(TTS_MAX_MS_PER_CHAR)"
            )

    async def _next(self) -> bytes:
        """Wait for the next samples; empty at the end.

        A header may be split over several chunks. It can name another format than the requested
        one, with samples of another size, but only before the first audio.
        """
        assert self._source is not None
        async for chunk in self._source:
            audio = self._header.feed(chunk)
            if self._header.format not in (None, self.format):
                self.format = self._header.format
                self._aligner = SampleAligner(self.format.bytes_per_sample)
            if samples := self._aligner.feed(audio):
                self._count(samples)
                return samples
        return self._aligner.feed(self._header.flush())


class TrailingSamples:
    """Aligns trailing audio with the stream before it: half a sample may be left of that."""

    def __init__(self, trailing: TrailingAudio, aligner: SampleAligner) -> None:
        self._trailing = trailing
        self._aligner = aligner

    def put(self, data: bytes) -> None:
        """Take a chunk."""
        if samples := self._aligner.feed(data):
            self._trailing.put(samples)

    def close(self) -> None:
        """Note that no more audio will come."""
        self._trailing.close()
