"""Resampling."""

import pytest

from app.audio import peak_dbfs
from app.audio.resample import Resampler, resample
from tests.audio.signals import sine, tone_share


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (8000, 16_000), (16_000, 8000)])
def test_resampling_keeps_length_and_tone(from_hz: int, to_hz: int) -> None:
    out = resample(sine(from_hz, 1), from_hz, to_hz)
    assert len(out) / 2 == pytest.approx(to_hz, abs=2)
    assert tone_share(out, to_hz) > 0.99
    assert peak_dbfs(out) == pytest.approx(-10.3, abs=0.3)


def test_resampling_in_odd_chunks_gives_the_same_samples() -> None:
    pcm = sine(24_000, 0.5)
    resampler = Resampler(24_000, 16_000)
    chunks = [resampler.feed(pcm[start : start + 333]) for start in range(0, len(pcm), 333)]
    assert len(b"".join(chunks)) > 0.99 * 16_000  # only about 1 ms is held back
    assert b"".join(chunks) + resampler.flush() == resample(pcm, 24_000, 16_000)
    assert resampler.feed(pcm) + resampler.flush() == resample(pcm, 24_000, 16_000)
