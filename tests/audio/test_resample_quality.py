"""Resampling of streams: length, sound, seams, and what is held back."""

from array import array
from collections.abc import Iterator

import av
import numpy as np
import pytest

from app.audio import peak_dbfs
from app.audio.resample import MAX_BLOCK, Resampler, make_filter, resample
from tests.audio.recordings import Shorts, difference_db, noise
from tests.audio.signals import sine, tone_share

RATIOS = (
    (48_000, 16_000), (44_100, 16_000), (32_000, 16_000), (24_000, 16_000), (22_050, 16_000),
    (11_025, 16_000), (16_000, 24_000), (16_000, 44_100), (16_000, 48_000),
)  # fmt: skip
TELEPHONE_RATIOS = ((8000, 16_000), (16_000, 8000), (8000, 24_000), (8001, 16_000))
ODD_RATIOS = ((47_999, 16_000), (16_001, 16_000), (15_999, 24_000))


def by_ffmpeg(samples: Shorts, from_hz: int, to_hz: int) -> Shorts:
    """Resample by libswresample."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=to_hz)
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
    frame.sample_rate = from_hz
    frame.planes[0].update(samples.tobytes())
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    pcm = b"".join(bytes(part.planes[0])[: part.samples * 2] for part in parts)
    return np.frombuffer(pcm, "<i2")


def chunks(pcm: bytes, size: int) -> Iterator[bytes]:
    yield from (pcm[start : start + size] for start in range(0, len(pcm), size))


def largest_difference(one: bytes, other: bytes) -> int:
    return max(abs(a - b) for a, b in zip(array("h", one), array("h", other), strict=True))


@pytest.mark.parametrize(("from_hz", "to_hz"), [*RATIOS, *TELEPHONE_RATIOS, *ODD_RATIOS])
def test_length_and_tone_stay(from_hz: int, to_hz: int) -> None:
    out = resample(sine(from_hz, 1), from_hz, to_hz)
    assert len(out) / 2 == pytest.approx(to_hz, abs=1)
    assert tone_share(out, to_hz) > 0.99
    assert peak_dbfs(out) == pytest.approx(-10.3, abs=0.3)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATIOS)
def test_it_differs_from_ffmpeg_by_80_db_in_the_voice_band(from_hz: int, to_hz: int) -> None:
    samples = noise(from_hz, 1, 200, 3400)
    ours = np.frombuffer(resample(samples.tobytes(), from_hz, to_hz), "<i2")
    assert difference_db(ours, by_ffmpeg(samples, from_hz, to_hz)) < -80


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8000, 16_000), (16_000, 8000)])
def test_of_a_telephone_line_it_differs_by_80_db_below_the_slope(from_hz: int, to_hz: int) -> None:
    samples = noise(from_hz, 1, 200, 3000)
    ours = np.frombuffer(resample(samples.tobytes(), from_hz, to_hz), "<i2")
    assert difference_db(ours, by_ffmpeg(samples, from_hz, to_hz)) < -80


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 16_000), (16_000, 8000)])
def test_what_is_above_the_band_is_gone(from_hz: int, to_hz: int) -> None:
    samples = noise(from_hz, 1, to_hz * 0.57, from_hz * 0.45)
    out = np.frombuffer(resample(samples.tobytes(), from_hz, to_hz), "<i2")
    assert np.abs(out[100:-100].astype(int)).max() <= 3  # 80 dB down


@pytest.mark.parametrize("size", [2, 333, 640, 1920, 5000])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (44_100, 16_000), (8000, 24_000)])
def test_a_stream_in_chunks_has_no_seams(from_hz: int, to_hz: int, size: int) -> None:
    pcm = noise(from_hz, 0.3, 100, 3000).tobytes()
    whole = resample(pcm, from_hz, to_hz)
    resampler = Resampler(from_hz, to_hz)
    for _ in range(2):  # after `flush` it begins anew
        parts = [resampler.feed(chunk) for chunk in chunks(pcm, size)]
        # one step: numpy sums in another order when there is more to sum
        assert largest_difference(b"".join(parts) + resampler.flush(), whole) <= 1


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "most_ms"),
    [(48_000, 16_000, 1.01), (44_100, 16_000, 1.05), (16_000, 24_000, 1.01), (8000, 16_000, 2.01)],
)
def test_next_to_nothing_is_held_back(from_hz: int, to_hz: int, most_ms: float) -> None:
    resampler, given_ms, taken_ms = Resampler(from_hz, to_hz), 0.0, 0.0
    for chunk in chunks(sine(from_hz, 1), from_hz // 50 * 2):
        given_ms += 20
        taken_ms += len(resampler.feed(chunk)) * 500 / to_hz
        assert given_ms - taken_ms <= most_ms


def test_a_long_chunk_is_converted_in_blocks() -> None:
    samples = noise(48_000, 2, 200, 3000)
    assert len(samples) > 10 * MAX_BLOCK
    out = np.frombuffer(resample(samples.tobytes(), 48_000, 16_000), "<i2")
    assert difference_db(out, by_ffmpeg(samples, 48_000, 16_000)) < -80


def test_full_scale_is_clipped_and_not_wrapped() -> None:
    square = np.repeat(np.array([32_767, -32_768] * 50, "<i2"), 300)
    out = np.frombuffer(resample(square.tobytes(), 48_000, 16_000), "<i2")
    assert (out[20:80] > 30_000).all()
    assert (out.min(), out.max()) == (-32_768, 32_767)


def test_silence_is_silence() -> None:
    assert resample(bytes(9600), 48_000, 16_000) == bytes(3200)


def test_filters_are_shared_and_few() -> None:
    make_filter.cache_clear()
    for rate_hz in range(40_000, 40_040):
        Resampler(rate_hz, 16_000).feed(bytes(1000))
    assert make_filter.cache_info().currsize <= 16
    Resampler(48_000, 16_000).feed(bytes(1000))
    hits = make_filter.cache_info().hits
    Resampler(48_000, 16_000).feed(bytes(1000))
    assert make_filter.cache_info().hits == hits + 1
