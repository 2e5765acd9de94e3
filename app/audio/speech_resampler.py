"""SpeechResampler: floats at any rate, out of them PCM16 at 16 kHz, in large blocks by soxr."""

import numpy as np
import numpy.typing as npt
import soxr

from app.audio.format import PCM16_16K

Floats = npt.NDArray[np.float32]
Shorts = npt.NDArray[np.int16]


class SpeechResampler:
    """Changes the sample rate of what is needed at its end only.

    soxr (HQ) keeps up to 0.1 s to itself; who waits for each chunk takes a `Resampler`.
    """

    def __init__(self, rate_hz: int) -> None:
        self._stream: soxr.ResampleStream | None = None
        if rate_hz != PCM16_16K.sample_rate_hz:
            self._stream = soxr.ResampleStream(
                rate_hz, PCM16_16K.sample_rate_hz, 1, dtype="float32"
            )

    def convert_pcm(self, pcm: bytes, *, is_last: bool) -> bytes:
        """Return what can be said of PCM16 so far."""
        return self.convert(np.frombuffer(pcm, "<i2").astype(np.float32), is_last=is_last)

    def convert(self, samples: Floats, *, is_last: bool) -> bytes:
        """Return what can be said of it so far. Floats of PCM16's scale; they are overwritten."""
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples, last=is_last)
        np.rint(samples, out=samples)
        np.clip(samples, -32_768, 32_767, out=samples)
        return samples.astype("<i2").tobytes()
