"""Input audio for tests: Arabic speech, pauses, noise and coughs, PCM16 at 16 kHz."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.simulator.espeak import shared_espeak

Samples = NDArray[np.float64]

SAMPLES_PER_MS = 16
AUDIBLE = 300
"""Amplitude, of 32,768, from which a sample of a voice without noise counts as speech."""


def speech(text: str) -> Samples:
    """Synthesize Arabic speech, from its first audible sample to its last."""
    samples = np.frombuffer(shared_espeak().synthesize(text), dtype=np.int16).astype(np.float64)
    audible = np.nonzero(np.abs(samples) > AUDIBLE)[0]
    return samples[audible[0] : audible[-1] + 1]


def silence(ms: float) -> Samples:
    return np.zeros(round(ms * SAMPLES_PER_MS))


def cough(ms: float, *, peak: float = 12_000, seed: int = 1) -> Samples:
    """Make a burst of noise that fades: loud and short, but no voice."""
    n = round(ms * SAMPLES_PER_MS)
    fading = np.exp(-np.arange(n) / (n / 4))
    return np.random.default_rng(seed).uniform(-peak, peak, n) * fading


def power(samples: Samples) -> float:
    return float(np.mean(samples**2))


@dataclass
class Scene:
    """A stretch of audio, and where its utterances are, in milliseconds."""

    samples: Samples = field(default_factory=lambda: silence(0))
    utterances: list[tuple[float, float]] = field(default_factory=list)

    @property
    def ms(self) -> float:
        return len(self.samples) / SAMPLES_PER_MS

    def then(self, samples: Samples) -> "Scene":
        return Scene(np.concatenate([self.samples, samples]), self.utterances)

    def pause(self, ms: float) -> "Scene":
        return self.then(silence(ms))

    def speak(self, *texts: str, pause_ms: float = 0) -> "Scene":
        """Append one utterance: several texts with pauses between."""
        scene = self
        for number, text in enumerate(texts):
            scene = (scene.pause(pause_ms) if number else scene).then(speech(text))
        return Scene(scene.samples, [*self.utterances, (self.ms, scene.ms)])

    def cough(self, ms: float) -> "Scene":
        return self.then(cough(ms))

    def noisy(self, snr_db: float, seed: int = 2) -> "Scene":
        """Add white noise, so much below the speech."""
        spoken = np.concatenate(
            [
                self.samples[round(a * SAMPLES_PER_MS) : round(b * SAMPLES_PER_MS)]
                for a, b in self.utterances
            ]
        )
        deviation = (power(spoken) / 10 ** (snr_db / 10)) ** 0.5
        noise = np.random.default_rng(seed).normal(0, deviation, len(self.samples))
        return Scene(self.samples + noise, self.utterances)

    def pcm(self) -> bytes:
        return np.clip(self.samples, -32768, 32767).astype("<i2").tobytes()


def noise(ms: float, *, deviation: float, seed: int = 3) -> bytes:
    """Make white noise, and nothing else."""
    samples = np.random.default_rng(seed).normal(0, deviation, round(ms * SAMPLES_PER_MS))
    return np.clip(samples, -32768, 32767).astype("<i2").tobytes()
