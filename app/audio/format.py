"""AudioFormat: how samples are written as bytes."""

import math
from array import array
from dataclasses import dataclass
from typing import ClassVar, Literal

Encoding = Literal["pcm_s16le", "mulaw"]

_BYTES_PER_SAMPLE: dict[Encoding, int] = {"pcm_s16le": 2, "mulaw": 1}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Describe headerless mono audio."""

    channels: ClassVar[int] = 1

    encoding: Encoding = "pcm_s16le"
    sample_rate_hz: int = 16_000

    @property
    def bytes_per_sample(self) -> int:
        """Give the bytes of one sample."""
        return _BYTES_PER_SAMPLE[self.encoding]

    @property
    def bytes_per_second(self) -> int:
        """Give the bytes of one second."""
        return self.bytes_per_sample * self.sample_rate_hz

    def duration_ms(self, n_bytes: int) -> float:
        """Give how long `n_bytes` sound, in milliseconds."""
        return n_bytes * 1000 / self.bytes_per_second


PCM16_16K = AudioFormat()
"""What speech to text takes, and what text to speech gives unless asked otherwise."""


class SampleAligner:
    """Carry a sample that was split between two chunks over to the next one."""

    def __init__(self, bytes_per_sample: int) -> None:
        self._bytes_per_sample = bytes_per_sample
        self._carry = b""

    @property
    def pending(self) -> int:
        """Count the bytes of the unfinished sample."""
        return len(self._carry)

    def feed(self, data: bytes) -> bytes:
        """Return whole samples only; empty when `data` finishes none."""
        if self._carry:
            data = self._carry + data
        whole = len(data) - len(data) % self._bytes_per_sample
        self._carry = data[whole:]
        return data[:whole]


def peak_dbfs(pcm: bytes) -> float:
    """Measure the loudest sample of PCM16 in dB below full scale; silence is -inf.

    Raises `ValueError` when `pcm` is not sample-aligned.
    """
    samples = array("h", pcm)
    if not samples:
        return -math.inf
    highest, lowest = max(samples), min(samples)
    peak = max(highest, -lowest)
    return 20 * math.log10(peak / 32_768) if peak else -math.inf
