"""Which audio of an attempt may be played, and from where: fed chunk by chunk, without I/O."""

from array import array
from typing import Protocol

from app.audio import AudioFormat, decode_mulaw

HOLD_BACK_MS = 40.0
"""Audio that is held back until more arrives: twice the provider's 20 ms failure (`docs/hamsa.md`,
Truncated answers)."""

SPLICE_WINDOW_MS = 150
"""Greatest distance of the splice from the break: less than a syllable."""

QUIET_MS = 10
"""Length of the frames whose loudness is compared."""

MATCH_MS = 20
"""Length of the audio before the break that must be equal in both renderings."""


class AttemptBuffer(Protocol):
    """Decides which audio of an attempt may be played."""

    position: int
    """Bytes of the sentence, from its beginning, that were returned or skipped."""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk. Return the audio that may be played now, empty if there is none."""

    def finish(self) -> bytes:
        """Note the end of the stream. Return the rest of the audio."""


class HoldBackBuffer:
    """Holds the beginning of a first attempt back until it is longer than a truncated one."""

    def __init__(self, format: AudioFormat) -> None:
        self.position = 0
        self._hold_back_bytes = _bytes_of(format, HOLD_BACK_MS)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk. Return the audio that may be played now."""
        if self._held or not self.position:
            chunk = self._held + chunk
            if len(chunk) <= self._hold_back_bytes:
                self._held = chunk
                return b""
            self._held = b""
        self.position += len(chunk)
        return chunk

    def finish(self) -> bytes:
        """Return the audio held back. The caller judges whether it is complete."""
        held, self._held = self._held, b""
        self.position += len(held)
        return held


class ContinuationSplice:
    """Finds where a new attempt continues a sentence that broke at `position` bytes.

    `tail` is the last audio that was delivered. If the new rendering is the same there, the splice
    is at the very byte of the break. Otherwise it is at the quietest 10 ms within 150 ms of it.
    """

    def __init__(self, format: AudioFormat, position: int, tail: bytes) -> None:
        window = _bytes_of(format, SPLICE_WINDOW_MS)
        self.position = 0
        self._format = format
        self._break = position
        self._begin = max(0, position - window)
        self._end = position + window
        self._tail = tail[-_bytes_of(format, MATCH_MS) :]
        self._buffer = bytearray()
        self._skipped = 0
        self._is_spliced = False

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk. Return the audio after the splice."""
        if self._is_spliced:
            self.position += len(chunk)
            return chunk
        skip = min(len(chunk), self._begin - self._skipped)
        self._skipped += skip
        self._buffer += chunk[skip:]
        if self._begin + len(self._buffer) < self._end:
            return b""
        return self._splice()

    def finish(self) -> bytes:
        """Return the audio after the splice, empty if the stream ended before it."""
        if self._is_spliced:
            return b""
        if self._skipped < self._begin or not self._buffer:
            self.position = self._skipped
            return b""
        return self._splice()

    def _splice(self) -> bytes:
        at = self._splice_position()
        rest = bytes(self._buffer[at:])
        self._buffer.clear()
        self._is_spliced = True
        self.position = self._begin + at + len(rest)
        return rest

    def _splice_position(self) -> int:
        """Return the first byte of the buffer to be played.

        If both renderings are the same, a splice at the break is inaudible. Otherwise it is least
        audible in a pause: in the middle of the quietest frame, and of equally quiet ones in the
        nearest to the break.
        """
        broken = min(self._break - self._begin, len(self._buffer))
        before = self._buffer[: self._break - self._begin]
        if self._tail and before.endswith(self._tail):
            return broken
        frame = _bytes_of(self._format, QUIET_MS)
        positions = range(0, max(1, len(self._buffer) - frame), frame)
        quietest = min(positions, key=lambda at: (self._loudness(at, frame), abs(at - broken)))
        return min(quietest + frame // 2 // 2 * 2, len(self._buffer))

    def _loudness(self, at: int, size: int) -> int:
        frame = bytes(self._buffer[at : at + size])
        pcm = decode_mulaw(frame) if self._format.encoding == "mulaw" else frame
        return sum(map(abs, array("h", pcm)))


def _bytes_of(format: AudioFormat, ms: float) -> int:
    return int(format.sample_rate_hz * ms / 1000) * format.bytes_per_sample
