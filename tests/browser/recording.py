"""Recordings of the loudspeaker: when there was sound, and whether it is the expected one."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.async_api import Page

from app.audio import resample

Samples = np.ndarray[Any, np.dtype[np.float32]]

FRAME_S = 0.01
AUDIBLE = 0.003  # -50 dB; the simulated voice is always louder


@dataclass
class Recording:
    """What came out of the loudspeaker; times are seconds of the page's audio clock."""

    rate_hz: int
    from_s: float
    samples: Samples

    def after(self, moment_s: float) -> "Recording":
        """Return what came after a moment."""
        begin = max(0, round((moment_s - self.from_s) * self.rate_hz))
        return Recording(self.rate_hz, self.from_s + begin / self.rate_hz, self.samples[begin:])

    def loud_s(self) -> float:
        """Return how long there was sound, in total."""
        return float(np.count_nonzero(self._levels() > AUDIBLE)) * FRAME_S

    def first_sound_s(self) -> float:
        """Return how long the first sound lasted."""
        loud = self._levels() > AUDIBLE
        begin = int(np.argmax(loud))
        return float(np.argmin(np.append(loud[begin:], False))) * FRAME_S

    def longest_gap_s(self) -> float:
        """Return the longest silence with sound on both sides."""
        loud = np.flatnonzero(self._levels() > AUDIBLE)
        return float(np.max(np.diff(loud), initial=1) - 1) * FRAME_S

    def similarity(self, pcm: bytes, rate_hz: int) -> float:
        """Return the correlation with expected PCM16, where it fits best; 1 if it is the same."""
        wanted = floats(resample(pcm, rate_hz, self.rate_hz))
        size = len(wanted) + len(self.samples)
        spectrum = np.fft.rfft(self.samples, size) * np.conj(np.fft.rfft(wanted, size))
        at = int(np.argmax(np.fft.irfft(spectrum, size)))
        found = self.samples[at : at + len(wanted)]
        wanted = wanted[: len(found)]
        energy = float(np.dot(found, found)) * float(np.dot(wanted, wanted))
        return float(np.dot(found, wanted)) / energy**0.5 if energy else 0.0

    def _levels(self) -> Samples:
        """Return the effective level of each frame."""
        size = int(FRAME_S * self.rate_hz)
        frames = self.samples[: len(self.samples) // size * size].reshape(-1, size)
        levels: Samples = np.sqrt(np.mean(frames**2, axis=1))
        return levels


def floats(pcm: bytes) -> Samples:
    """Convert PCM16 to samples of -1 to 1."""
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


async def record(page: Page) -> Recording:
    """Return everything that the page has played so far."""
    recorded = await page.evaluate("loudspeaker.recording()")
    samples = np.frombuffer(base64.b64decode(recorded["samples"]), "<f4")
    return Recording(int(recorded["rate"]), recorded["from"], samples)


async def wait_for_sound(page: Page, seconds: float = 0.3, *, since_s: float = 0) -> None:
    """Wait until the page has sounded so long in total, from a moment of its audio clock on."""
    await page.evaluate(
        "([seconds, since]) => loudspeaker.sounded(seconds, since)", [seconds, since_s]
    )
