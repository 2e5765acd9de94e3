"""Resampling."""

import math
from pathlib import Path

import av
import pytest

from app.audio import Resampler, peak_dbfs, resample
from app.audio.resample import frames_to_pcm
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


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8000, 16000), (24000, 16000), (16000, 8000)])
def test_a_stream_starts_no_threads_and_sounds_as_by_pyav(from_hz: int, to_hz: int) -> None:
    pcm = b"".join(
        int(10_000 * math.sin(n / 10)).to_bytes(2, "little", signed=True) for n in range(from_hz)
    )
    before = threads()
    resamplers = [Resampler(from_hz, to_hz) for _ in range(5)]
    resampled = {each.feed(pcm) for each in resamplers}
    assert threads() == before
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = from_hz
    frame.planes[0].update(pcm)
    by_pyav = av.AudioResampler(format="s16", layout="mono", rate=to_hz)
    assert resampled == {frames_to_pcm(by_pyav.resample(frame))}


def threads() -> int:
    """Count the threads of this process, where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else 0
