"""What a client streams from its microphone, until it says that this is the utterance."""

from app import errors
from app.audio import AudioFormat, SampleAligner, decode_mulaw, wav


class InputAudioBuffer:
    """Keeps one utterance, up to `max_bytes` and `max_s` seconds.

    Audio that comes while an answer is spoken is kept as well: it belongs to the next utterance.
    """

    def __init__(self, *, max_bytes: int, max_s: float) -> None:
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._format = AudioFormat()
        self._aligner = SampleAligner(self._format.bytes_per_sample)
        self._audio = bytearray()
        self._full = False

    def append(self, data: bytes, format: AudioFormat) -> None:
        """Take a frame; its boundary may split a sample. A change of format begins anew.

        Raises `UtteranceTooLongError`, once an utterance; what follows up to its end is dropped.
        """
        if format != self._format:
            self._format = format
            self.clear()
        if self._full:
            return
        self._audio += self._aligner.feed(data)
        too_long = self._format.duration_ms(len(self._audio)) > self._max_s * 1000
        if too_long or len(self._audio) > self._max_bytes:
            self.clear()
            self._full = True
            raise errors.UtteranceTooLongError(
                f"more than {self._max_bytes} bytes or {self._max_s:g} s"
            )

    def utterance(self) -> bytes | None:
        """Return what was heard as a WAV file, and begin anew; None when it was too long.

        Raises `EmptyAudioError`.
        """
        audio, full = bytes(self._audio), self._full
        self.clear()
        if full:
            return None
        if not audio:
            raise errors.EmptyAudioError("nothing was streamed")
        pcm = decode_mulaw(audio) if self._format.encoding == "mulaw" else audio
        return wav(pcm, AudioFormat("pcm_s16le", self._format.sample_rate_hz))

    def clear(self) -> None:
        """Drop what was heard of an utterance that is not to be one."""
        self._audio = bytearray()
        self._aligner = SampleAligner(self._format.bytes_per_sample)
        self._full = False
