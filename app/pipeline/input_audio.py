"""Push to talk: buffers the input stream until the client ends its utterance."""

from app import errors
from app.audio import AudioFormat, SampleAligner, decode_mulaw, wav


class InputAudioBuffer:
    """Buffers one utterance, up to `max_bytes` and `max_s` seconds.

    Audio that arrives during a response is buffered, too: it belongs to the next utterance.
    """

    def __init__(self, *, max_bytes: int, max_s: float) -> None:
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._format = AudioFormat()
        self._aligner = SampleAligner(self._format.bytes_per_sample)
        self._audio = bytearray()
        self._is_full = False

    def append(self, data: bytes, format: AudioFormat) -> None:
        """Append a frame, which may end within a sample. A new `format` clears the buffer.

        Raises `UtteranceTooLongError` once an utterance; the rest of the utterance is dropped.
        """
        if format != self._format:
            self._format = format
            self.clear()
        if self._is_full:
            return
        self._audio += self._aligner.feed(data)
        too_long = self._format.duration_ms(len(self._audio)) > self._max_s * 1000
        if too_long or len(self._audio) > self._max_bytes:
            self.clear()
            self._is_full = True
            raise errors.UtteranceTooLongError(
                f"more than {self._max_bytes} bytes or {self._max_s:g} s"
            )

    def take_utterance(self) -> bytes | None:
        """Return the utterance as a WAV file, and clear the buffer; None if it was too long.

        Raises `EmptyAudioError`.
        """
        audio, was_full = bytes(self._audio), self._is_full
        self.clear()
        if was_full:
            return None
        if not audio:
            raise errors.EmptyAudioError("no audio was streamed")
        pcm = decode_mulaw(audio) if self._format.encoding == "mulaw" else audio
        return wav(pcm, AudioFormat("pcm_s16le", self._format.sample_rate_hz))

    def clear(self) -> None:
        """Drop the buffered audio."""
        self._audio = bytearray()
        self._aligner = SampleAligner(self._format.bytes_per_sample)
        self._is_full = False
