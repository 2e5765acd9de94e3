"""One provider answer as clean audio: strips the header, aligns samples, bounds every silence."""

from collections.abc import AsyncGenerator, AsyncIterator

from app import errors
from app.audio import AudioFormat, HeaderStripper, SampleAligner
from app.timeouts import ReusableTimeout
from app.transports.base import Attempt, AudioStream, TrailingAudio


class ProviderStream(AudioStream):
    """Turns the raw pieces of one answer into samples.

    `begin` is called once with the source of the pieces; `stall_timeout_s` bounds each silence
    after the first audio.
    """

    def __init__(self, attempt: Attempt, format: AudioFormat, *, stall_timeout_s: float) -> None:
        self.format = format
        self.attempt: Attempt = attempt
        self._stall_timeout_s = stall_timeout_s
        self._header = HeaderStripper()
        self._aligner = SampleAligner(format.bytes_per_sample)
        self._source: AsyncGenerator[bytes, None] | None = None
        self._first = b""
        self._timeout = ReusableTimeout()

    async def begin(self, source: AsyncGenerator[bytes, None]) -> None:
        """Wait for the first audio; from then on `format` is known.

        Raises `IncompleteAudioError` when the answer holds none. The caller bounds the wait.
        """
        self._source = source
        self._first = await self._next()
        if not self._first:
            raise errors.IncompleteAudioError("the answer holds no audio")
        self.attempt.mark_first_byte()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunk = self._first
        while chunk:
            yield chunk
            try:
                chunk = await self._timeout.wait_for(self._next(), self._stall_timeout_s)
            except TimeoutError:
                raise errors.ProviderTimeoutError(
                    f"no audio for {self._stall_timeout_s} s"
                ) from None

    async def aclose(self) -> None:
        """Let go of the source."""
        self._timeout.close()
        if self._source is not None:
            await self._source.aclose()

    def trailing_audio(self, wait_s: float) -> "TrailingSamples":
        """Say that audio may come after the end, for `wait_s` seconds."""
        self.trailing = TrailingAudio(wait_s, self.attempt.metrics)
        return TrailingSamples(self.trailing, self._aligner)

    async def _next(self) -> bytes:
        """Wait for the next samples; empty at the end."""
        assert self._source is not None
        async for piece in self._source:
            audio = self._header.feed(piece)
            if self._header.format not in (None, self.format):
                # Said before the first audio, and not what was asked for: samples of another size.
                self.format = self._header.format
                self._aligner = SampleAligner(self.format.bytes_per_sample)
            if samples := self._aligner.feed(audio):
                return samples
        return self._aligner.feed(self._header.flush())


class TrailingSamples:
    """Aligns audio that comes late with what came before it."""

    def __init__(self, trailing: TrailingAudio, aligner: SampleAligner) -> None:
        self._late = trailing
        self._aligner = aligner

    def put(self, data: bytes) -> None:
        """Take a piece."""
        if samples := self._aligner.feed(data):
            self._late.put(samples)

    def close(self) -> None:
        """Learn that no more can come."""
        self._late.close()
