"""Signals for the tests of audio, and what can be measured of them."""

import math
from array import array

from app.audio import AudioFormat

MULAW_8K = AudioFormat("mulaw", 8000)


def sine(rate_hz: int, seconds: float, hz: float = 440) -> bytes:
    step = 2 * math.pi * hz / rate_hz
    count = round(rate_hz * seconds)
    return array("h", (round(10_000 * math.sin(step * i)) for i in range(count))).tobytes()


def tone_share(pcm: bytes, rate_hz: int, hz: float = 440) -> float:
    """Measure how much of the energy of PCM16 is a tone of `hz`, from 0 to 1 (Goertzel)."""
    samples = array("h", pcm)
    step = 2 * math.pi * hz / rate_hz
    re = sum(s * math.cos(step * i) for i, s in enumerate(samples))
    im = sum(s * math.sin(step * i) for i, s in enumerate(samples))
    return 2 * (re * re + im * im) / (len(samples) * sum(s * s for s in samples))


def slices(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` at `sizes`; the rest is the last slice."""
    cut, start = [], 0
    for size in sizes:
        cut.append(data[start : start + size])
        start += size
    return [*cut, data[start:]]


PCM = sine(16_000, 0.05)
