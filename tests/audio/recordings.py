"""Recordings as browsers and phones make them, and sounds to measure by."""

import math
from io import BytesIO

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.audio.stream import AudioStream

from tests.audio.signals import sine

Shorts = npt.NDArray[np.int16]


def noise(rate_hz: int, seconds: float, low_hz: float, high_hz: float) -> Shorts:
    """Noise of one band, near full scale."""
    count = round(rate_hz * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(17).standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    samples = np.fft.irfft(spectrum, count)
    rounded: Shorts = np.round(samples / np.abs(samples).max() * 30_000).astype("<i2")
    return rounded


def difference_db(one: Shorts, other: Shorts) -> float:
    """How much of `other` is not `one`, within their middle: filters end differently."""
    assert len(one) == pytest.approx(len(other), abs=2)
    inner = slice(800, min(len(one), len(other)) - 800)
    a, b = one[inner].astype(float), other[inner].astype(float)
    return float(10 * math.log10(((a - b) ** 2).mean() / (b**2).mean()))


def record(
    container: str, codec: str, rate_hz: int = 48_000, seconds: float = 1, **options: str
) -> bytes:
    """Record a sine as a browser or a phone would."""
    file = BytesIO()
    layout = options.pop("layout", "mono")
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, AudioStream)
        context = stream.codec_context
        frame = av.AudioFrame(format="s16", layout="mono", samples=round(rate_hz * seconds))
        frame.sample_rate, frame.pts = rate_hz, 0
        frame.planes[0].update(sine(rate_hz, seconds))
        resampler = av.AudioResampler(
            context.format, layout, rate_hz, frame_size=context.frame_size or None
        )
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(part))
    return file.getvalue()


RECORDINGS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "wav": ("wav", "pcm_s16le", 44_100, {}),
    "wav 8-bit": ("wav", "pcm_u8", 8000, {}),
    "wav 24-bit stereo": ("wav", "pcm_s24le", 48_000, {"layout": "stereo"}),
    "wav 5.1": ("wav", "pcm_s16le", 48_000, {"layout": "5.1"}),
    "wav float": ("wav", "pcm_f32le", 48_000, {}),
    "wav mulaw": ("wav", "pcm_mulaw", 8000, {}),
    "wav alaw": ("wav", "pcm_alaw", 8000, {}),
    "webm": ("webm", "libopus", 48_000, {}),
    "webm live": ("webm", "libopus", 48_000, {"live": "1"}),
    "ogg": ("ogg", "libopus", 48_000, {}),
    "mp3": ("mp3", "libmp3lame", 44_100, {}),
    "mp3 bare": ("mp3", "libmp3lame", 44_100, {"id3v2_version": "0", "write_xing": "0"}),
    "m4a": ("ipod", "aac", 44_100, {}),
    "mp4 fragments": ("mp4", "aac", 44_100, {"movflags": "frag_keyframe+empty_moov"}),
    "flac": ("flac", "flac", 44_100, {}),
    "adts": ("adts", "aac", 44_100, {}),
}


def recorded(name: str, seconds: float = 1) -> bytes:
    container, codec, rate_hz, options = RECORDINGS[name]
    return record(container, codec, rate_hz, seconds, **options)
