"""How samples are stored as bytes."""

import math
from array import array
from dataclasses import dataclass
from typing import ClassVar, Literal

Encoding = Literal["pcm_s16le", "mulaw"]

_BYTES_PER_SAMPLE: dict[Encoding, int] = {"pcm_s16le": 2, "mulaw": 1}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A format of mono audio without a header."""

    channels: ClassVar[int] = 1

    encoding: Encoding = "pcm_s16le"
    sample_rate_hz: int = 16_000

    @property
    def bytes_per_sample(self) -> int:
        """Return the size of one sample in bytes."""
        return _BYTES_PER_SAMPLE[self.encoding]

    @property
    def bytes_per_second(self) -> int:
        """Return the size of one second in bytes."""
        return self.bytes_per_sample * self.sample_rate_hz

    def duration_ms(self, n_bytes: int) -> float:
        """Return how long `n_bytes` play, in milliseconds."""
        return n_bytes * 1000 / self.bytes_per_second


PCM16_16K = AudioFormat()
"""What STT takes, and what TTS sends unless asked otherwise (`docs/hamsa.md`)."""


class SampleAligner:
    """Carry the first part of a sample that was split between two chunks over to the second."""

    def __init__(self, bytes_per_sample: int) -> None:
        self._bytes_per_sample = bytes_per_sample
        self._carry = b""

    @property
    def pending(self) -> int:
        """Return the number of bytes of the incomplete sample."""
        return len(self._carry)

    def feed(self, data: bytes) -> bytes:
        """Return whole samples only, which may be none."""
        if self._carry:
            data = self._carry + data
        whole = len(data) - len(data) % self._bytes_per_sample
        self._carry = data[whole:]
        return data[:whole]


def peak_dbfs(pcm: bytes) -> float:
    """Return the loudest sample of PCM16 in dBFS (0 is full scale); silence is -inf.

    Raises `ValueError` when `pcm` is not sample-aligned.
    """
    samples = array("h", pcm)
    if not samples:
        return -math.inf
    highest, lowest = max(samples), min(samples)
    peak = max(highest, -lowest)
    return 20 * math.log10(peak / 32_768) if peak else -math.inf
