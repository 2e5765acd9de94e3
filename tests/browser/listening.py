"""What was heard, as numbers: when there was sound, and whether it is the right one."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.async_api import Page

from app.audio import resample

Samples = np.ndarray[Any, np.dtype[np.float32]]

FRAME_S = 0.01
AUDIBLE = 0.003  # -50 dB; the hum is never so faint


@dataclass
class Heard:
    """What came out of the loudspeaker; times are seconds of the page's audio clock."""

    rate_hz: int
    from_s: float
    samples: Samples

    def after(self, moment_s: float) -> "Heard":
        """What came after a moment."""
        begin = max(0, round((moment_s - self.from_s) * self.rate_hz))
        return Heard(self.rate_hz, self.from_s + begin / self.rate_hz, self.samples[begin:])

    def loud_s(self) -> float:
        """How long there was sound, in all."""
        return float(np.count_nonzero(self._levels() > AUDIBLE)) * FRAME_S

    def first_sound_s(self) -> float:
        """How long the first sound lasted."""
        loud = self._levels() > AUDIBLE
        begin = int(np.argmax(loud))
        return float(np.argmin(np.append(loud[begin:], False))) * FRAME_S

    def longest_hole_s(self) -> float:
        """The longest silence with sound on both sides."""
        loud = np.flatnonzero(self._levels() > AUDIBLE)
        return float(np.max(np.diff(loud), initial=1) - 1) * FRAME_S

    def likeness(self, pcm: bytes, rate_hz: int) -> float:
        """The correlation with PCM16 that was to be heard, where it fits best; 1 for the same."""
        wanted = floats(resample(pcm, rate_hz, self.rate_hz))
        size = len(wanted) + len(self.samples)
        spectrum = np.fft.rfft(self.samples, size) * np.conj(np.fft.rfft(wanted, size))
        at = int(np.argmax(np.fft.irfft(spectrum, size)))
        found = self.samples[at : at + len(wanted)]
        wanted = wanted[: len(found)]
        energy = float(np.dot(found, found)) * float(np.dot(wanted, wanted))
        return float(np.dot(found, wanted)) / energy**0.5 if energy else 0.0

    def _levels(self) -> Samples:
        """The effective level of each frame."""
        size = int(FRAME_S * self.rate_hz)
        frames = self.samples[: len(self.samples) // size * size].reshape(-1, size)
        return np.sqrt(np.mean(frames**2, axis=1))


def floats(pcm: bytes) -> Samples:
    """PCM16 as samples of -1 to 1."""
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


async def listen(page: Page) -> Heard:
    """Take everything that the page has sounded so far."""
    taken = await page.evaluate("heard.take()")
    samples = np.frombuffer(base64.b64decode(taken["samples"]), "<f4")
    return Heard(int(taken["rate"]), taken["from"], samples)
