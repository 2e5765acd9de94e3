"""What of an attempt may be heard, and from where: pure, fed audio as it comes.

A gate lets nothing through until the attempt has proved itself; then all that follows.
"""

from array import array
from typing import Protocol

from app.audio import AudioFormat, decode_mulaw

HOLD_BACK_MS = 40.0
"""Audio kept back until more proves the attempt alive: twice the provider's 20 ms failure."""

JOIN_WINDOW_MS = 150
"""How far from the break a join may be: less than a syllable."""

QUIET_MS = 10
"""The stretch whose loudness is compared."""

MATCH_MS = 20
"""So much audio before the break, when it is the same again, tells the same rendering."""


class AttemptBuffer(Protocol):
    """Decides which audio of an attempt is heard."""

    position: int
    """Bytes of the answer, from its beginning, that have been let through or skipped."""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; return what may be heard now, empty while nothing may."""

    def finish(self) -> bytes:
        """Learn that the answer has ended; return what is left to be heard."""


class HoldBackBuffer:
    """The gate of a first attempt: holds back as much as a failure may bring."""

    def __init__(self, format: AudioFormat) -> None:
        self.position = 0
        self._least_bytes = _bytes_of(format, HOLD_BACK_MS)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; return what may be heard now."""
        if self._held or not self.position:
            chunk = self._held + chunk
            if len(chunk) <= self._least_bytes:
                self._held = chunk
                return b""
            self._held = b""
        self.position += len(chunk)
        return chunk

    def finish(self) -> bytes:
        """Return what is held: whether it is enough, others judge."""
        held, self._held = self._held, b""
        self.position += len(held)
        return held


class ContinuationSplice:
    """The gate of an attempt that continues an answer which broke at `position` bytes.

    `tail` is the last audio that was heard. Where the new rendering is the same, it goes on at the
    very byte; where it differs, at its quietest 10 ms within ±150 ms of the break.
    """

    def __init__(self, format: AudioFormat, position: int, tail: bytes) -> None:
        window = _bytes_of(format, JOIN_WINDOW_MS)
        self.position = 0
        self._format = format
        self._break = position
        self._begin = max(0, position - window)
        self._end = position + window
        self._tail = tail[-_bytes_of(format, MATCH_MS) :]
        self._buffer = bytearray()
        self._skipped = 0
        self._open = False

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; return what follows the join."""
        if self._open:
            self.position += len(chunk)
            return chunk
        skip = min(len(chunk), self._begin - self._skipped)
        self._skipped += skip
        self._buffer += chunk[skip:]
        if self._begin + len(self._buffer) < self._end:
            return b""
        return self._join()

    def finish(self) -> bytes:
        """Return what follows the join, which may be nothing: all had been heard."""
        if self._open:
            return b""
        if self._skipped < self._begin or not self._buffer:
            self.position = self._skipped
            return b""
        return self._join()

    def _join(self) -> bytes:
        at = self._place()
        rest = bytes(self._buffer[at:])
        self._buffer.clear()
        self._open = True
        self.position = self._begin + at + len(rest)
        return rest

    def _place(self) -> int:
        """Return where in the buffer to go on."""
        broken = min(self._break - self._begin, len(self._buffer))
        before = self._buffer[: self._break - self._begin]
        if self._tail and before.endswith(self._tail):
            return broken
        frame = _bytes_of(self._format, QUIET_MS)
        places = range(0, max(1, len(self._buffer) - frame), frame)
        quietest = min(places, key=lambda at: (self._loudness(at, frame), abs(at - broken)))
        return min(quietest + frame // 2 // 2 * 2, len(self._buffer))

    def _loudness(self, at: int, size: int) -> int:
        piece = bytes(self._buffer[at : at + size])
        pcm = decode_mulaw(piece) if self._format.encoding == "mulaw" else piece
        return sum(map(abs, array("h", pcm)))


def _bytes_of(format: AudioFormat, ms: float) -> int:
    return int(format.sample_rate_hz * ms / 1000) * format.bytes_per_sample
