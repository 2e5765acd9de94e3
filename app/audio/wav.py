"""RIFF/WAVE headers: written where one is needed, removed from streams that have one."""

import struct
from typing import Literal

from app.audio.format import AudioFormat, Encoding
from app.errors import ProtocolError

_UNKNOWN_SIZE = 0xFFFFFFFF  # what writers of streams put in place of a size
_MAX_DATA_BYTES = _UNKNOWN_SIZE - 64  # leaves room for the header in the RIFF size
_MAX_HEADER_BYTES = 4096  # 128 ms of PCM16 at 16 kHz; real headers have 44 to about 300
_EXTENSIBLE_TAG = 0xFFFE  # the real tag is at offset 24 of `fmt `
_TAGS: dict[Encoding, int] = {"pcm_s16le": 1, "mulaw": 7}
_ENCODINGS: dict[tuple[int, int, int], Encoding] = {(1, 1, 16): "pcm_s16le", (7, 1, 8): "mulaw"}


def wav_header(audio_format: AudioFormat, data_bytes: int | None) -> bytes:
    """Return the 44-byte header for `data_bytes` of audio; None means an unknown length.

    Raises `ValueError` for more than a WAVE file can hold (4 GiB).
    """
    if data_bytes is not None and not 0 <= data_bytes <= _MAX_DATA_BYTES:
        raise ValueError(f"a WAVE file cannot hold {data_bytes} bytes")
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        _UNKNOWN_SIZE if data_bytes is None else 36 + data_bytes + data_bytes % 2,
        b"WAVE",
        b"fmt ",
        16,
        _TAGS[audio_format.encoding],
        audio_format.channels,
        audio_format.sample_rate_hz,
        audio_format.bytes_per_second,
        audio_format.bytes_per_sample,
        audio_format.bytes_per_sample * 8,
        b"data",
        _UNKNOWN_SIZE if data_bytes is None else data_bytes,
    )


def wav(data: bytes, audio_format: AudioFormat) -> bytes:
    """Return a whole WAVE file, padded to an even length."""
    return wav_header(audio_format, len(data)) + data + b"\0" * (len(data) % 2)


def _parsed_format(fmt: bytes) -> AudioFormat:
    if len(fmt) < 16:
        raise ProtocolError(f"WAVE format chunk has {len(fmt)} bytes, must have at least 16")
    tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", fmt)
    if tag == _EXTENSIBLE_TAG and len(fmt) >= 26:
        (tag,) = struct.unpack_from("<H", fmt, 24)
    encoding = _ENCODINGS.get((tag, channels, bits))
    if encoding is None or rate_hz == 0:
        raise ProtocolError(
            f"unusable WAVE format: tag {tag}, {channels} channels, {bits} bits, {rate_hz} Hz"
        )
    return AudioFormat(encoding, rate_hz)


class HeaderStripper:
    """Remove the RIFF/WAVE header from a stream of audio that may begin with one.

    Audio that only begins like a header is passed on from its first byte. The twelve bytes
    `RIFF....WAVE` make a header. If it has no `data` chunk within 4096 bytes, a chunk size in it is
    wrong: what follows that chunk's own eight bytes is taken as audio, because a moment of noise is
    better than a lost sentence. What follows a `data` chunk of known size is not audio; the sizes 0
    and 0xFFFFFFFF mean unknown.
    """

    def __init__(self) -> None:
        self.format: AudioFormat | None = None
        """Format by the header; None while undecided, and if there is no header."""
        self._state: Literal["start", "chunks", "audio"] = "start"
        self._held = b""
        self._header_bytes = 0
        self._left_bytes: int | None = None

    @property
    def decided(self) -> bool:
        """Return whether it is known where the audio begins, and in which format."""
        return self._state == "audio"

    @property
    def passes_all(self) -> bool:
        """Whether whatever follows is audio, so that it need not be fed."""
        return self._state == "audio" and self._left_bytes is None

    def feed(self, data: bytes) -> bytes:
        """Return the audio in `data`, and in what was held back.

        Raises `ProtocolError` when the header has a format that `AudioFormat` cannot express.
        """
        if self._state == "audio":
            return self._audio(data)
        self._held += data
        if self._state == "start":
            self._detect_header()
        if self._state == "chunks":
            self._skip_chunks()
        return self.flush() if self.decided else b""

    def flush(self) -> bytes:
        """Return what was held back at the end of the stream; an incomplete header is dropped."""
        held, self._held = self._held, b""
        return b"" if self._state == "chunks" else self._audio(held)

    def _detect_header(self) -> None:
        head = self._held[:12]
        if not (b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:])):
            self._state = "audio"
        elif len(head) == 12:
            self._state = "chunks"
            self._consume(12)

    def _skip_chunks(self) -> None:
        """Read chunks until `data`; the size of a chunk decides whether to wait for all of it."""
        while self._state == "chunks" and len(self._held) >= 8:
            name, size = struct.unpack_from("<4sI", self._held)
            padded = size + size % 2
            if name == b"data":
                self._begin_audio(None if size in (0, _UNKNOWN_SIZE) else size)
            elif self._header_bytes + 8 + padded > _MAX_HEADER_BYTES:
                self._begin_audio(None)
            elif len(self._held) < 8 + padded:
                return
            else:
                if name == b"fmt ":
                    self.format = _parsed_format(self._held[8 : 8 + size])
                self._consume(8 + padded)

    def _begin_audio(self, left_bytes: int | None) -> None:
        self._consume(8)
        self._left_bytes = left_bytes
        self._state = "audio"

    def _consume(self, n_bytes: int) -> None:
        self._held = self._held[n_bytes:]
        self._header_bytes += n_bytes

    def _audio(self, data: bytes) -> bytes:
        if self._left_bytes is None:
            return data
        data = data[: self._left_bytes]
        self._left_bytes -= len(data)
        return data
