"""WavFile: what the header of a complete WAVE file says, whoever wrote it."""

import struct
from dataclasses import dataclass
from typing import Literal, Self

from app.errors import UndecodableAudioError

SampleKind = Literal["pcm", "float", "mulaw", "alaw"]

_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""What streaming writers put where a size belongs: the audio goes on to the end of the file."""
_EXTENSIBLE_TAG = 0xFFFE
"""The true tag stands at offset 24 of `fmt `, followed by the rest of this GUID."""
_GUID_TAIL = bytes.fromhex("0000 0000 1000 8000 00aa 0038 9b71")
_KINDS: dict[int, SampleKind] = {1: "pcm", 3: "float", 6: "alaw", 7: "mulaw"}
_WIDTHS: dict[SampleKind, tuple[int, ...]] = {
    "pcm": (1, 2, 3, 4),
    "float": (4, 8),
    "alaw": (1,),
    "mulaw": (1,),
}

# Telephony to the best sound cards. Beyond, a header alone could ask for a filter of gigabytes.
_MIN_RATE_HZ, _MAX_RATE_HZ = 4_000, 384_000
_MAX_CHANNELS = 16

MAX_CHUNKS = 4096
"""Most chunks of a file, which take 2.5 ms to pass over; a recorder writes a handful. Ten megabytes
of empty ones would hold the event loop for 0.7 s."""


@dataclass(frozen=True, slots=True)
class _Format:
    kind: SampleKind | None
    """None for one that needs a decoder, as ADPCM."""
    bytes_per_sample: int
    channels: int
    sample_rate_hz: int
    speakers: int
    """A bit for each channel's speaker, from front left up; 0 when it is not said."""


@dataclass(frozen=True, slots=True)
class WavFile:
    """Samples in a file, and how they are written; whole frames only."""

    kind: SampleKind
    bytes_per_sample: int
    channels: int
    sample_rate_hz: int
    speakers: int
    file: bytes
    start: int
    frames: int
    """Samples of each channel."""

    @classmethod
    def parse(cls, file: bytes) -> Self | None:
        """Read the header of a file that begins as WAVE; None when it takes a decoder.

        Chunks may come in any order and sizes may be lies: a `data` chunk ends with the file at the
        latest, and of several the last is taken, as FFmpeg does. Raises `UndecodableAudioError`.
        """
        chunks = _Chunks(file)
        if chunks.format is None or chunks.audio is None:
            raise UndecodableAudioError("a WAVE file without its format, or without audio")
        format = _parsed_format(chunks.format)
        if format.kind is None:
            return None
        start, end = chunks.audio
        return cls(
            format.kind,
            format.bytes_per_sample,
            format.channels,
            format.sample_rate_hz,
            format.speakers,
            file,
            start,
            (end - start) // (format.bytes_per_sample * format.channels),
        )

    @property
    def is_pcm16_16k(self) -> bool:
        """Whether its samples are what speech to text takes, as they stand in the file."""
        format = (self.kind, self.bytes_per_sample, self.channels, self.sample_rate_hz)
        return format == ("pcm", 2, 1, 16_000)

    @property
    def duration_s(self) -> float:
        """How long it sounds."""
        return self.frames / self.sample_rate_hz

    @property
    def bytes_per_frame(self) -> int:
        """Bytes of a sample of each channel."""
        return self.bytes_per_sample * self.channels

    def read(self, first: int, frames: int) -> memoryview:
        """Return some frames as they stand in the file."""
        first, last = (min(at, self.frames) for at in (first, first + frames))
        view = memoryview(self.file)
        return view[
            self.start + first * self.bytes_per_frame : self.start + last * self.bytes_per_frame
        ]


class _Chunks:
    """Finds the chunks that matter."""

    def __init__(self, file: bytes) -> None:
        self.format: bytes | None = None
        self.audio: tuple[int, int] | None = None
        """Where the audio begins and ends."""
        self._file = file
        at, self._long_size = self._after_riff_header()
        for _ in range(MAX_CHUNKS):
            if at + 8 > len(file):
                return
            name, size = struct.unpack_from("<4sI", file, at)
            at = self._take(name, at + 8, size)
        raise UndecodableAudioError(f"a WAVE file of more than {MAX_CHUNKS} chunks")

    def _after_riff_header(self) -> tuple[int, int | None]:
        """Return where chunks begin and, in RF64, how long the audio is."""
        if not self._file.startswith(b"RF64"):
            return 12, None
        if len(self._file) < 44 or self._file[12:16] != b"ds64":
            raise UndecodableAudioError("RF64 without its sizes")
        size, _, audio_bytes = struct.unpack_from("<IQQ", self._file, 16)
        if size < 24:
            raise UndecodableAudioError("RF64 without its sizes")
        return 20 + size, audio_bytes

    def _take(self, name: bytes, start: int, size: int) -> int:
        """Look at a chunk; return where the next one begins."""
        if name == b"fmt " and self.format is None:
            self.format = self._file[start : start + size]
        if name == b"data":
            size = self._audio_bytes(size, len(self._file) - start)
            self.audio = start, start + size
        return start + size + size % 2

    def _audio_bytes(self, size: int, left: int) -> int:
        if self._long_size is not None:
            return min(self._long_size, left)
        return left if size in _UNKNOWN_SIZES else min(size, left)


def _parsed_format(fmt: bytes) -> _Format:
    """Read a `fmt ` chunk; one of 14 bytes, without the bits, is of 8."""
    if len(fmt) < 14:
        raise UndecodableAudioError(f"WAVE format chunk of {len(fmt)} bytes")
    tag, channels, rate_hz = struct.unpack_from("<HHI", fmt)
    bits = struct.unpack_from("<H", fmt, 14)[0] if len(fmt) >= 16 else 8
    speakers = 0
    if tag == _EXTENSIBLE_TAG and len(fmt) >= 40 and fmt[26:40] == _GUID_TAIL:
        speakers, tag = struct.unpack_from("<IH", fmt, 20)
    if not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        raise UndecodableAudioError(f"sample rate of {rate_hz} Hz")
    if not 1 <= channels <= _MAX_CHANNELS:
        raise UndecodableAudioError(f"{channels} channels")
    kind = _KINDS.get(tag)
    width = 1 if kind in ("mulaw", "alaw") else (bits + 7) // 8
    if kind is not None and width not in _WIDTHS[kind]:
        raise UndecodableAudioError(f"WAVE with {kind} of {bits} bits")
    return _Format(kind, width, channels, rate_hz, speakers)
