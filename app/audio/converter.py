"""Conversion of a stream from one AudioFormat to another."""

from app.audio.companding import decode_mulaw, encode_mulaw
from app.audio.format import AudioFormat
from app.audio.resample import Resampler


class Converter:
    """Convert a stream chunk by chunk; with equal formats, return the chunks themselves.

    A chunk may end within a sample, unless the formats are equal.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source = source
        self.target = target
        self.converts = source != target
        """Whether the formats differ."""
        self._resampler = Resampler(source.sample_rate_hz, target.sample_rate_hz)

    def feed(self, data: bytes) -> bytes:
        """Return what can be converted so far, which may be nothing."""
        if not self.converts:
            return data
        pcm = decode_mulaw(data) if self.source.encoding == "mulaw" else data
        return self._encoded(self._resampler.feed(pcm))

    def flush(self) -> bytes:
        """Return what was held back, and reset; drop an incomplete sample."""
        return self._encoded(self._resampler.flush())

    def _encoded(self, pcm: bytes) -> bytes:
        return encode_mulaw(pcm) if self.target.encoding == "mulaw" else pcm
