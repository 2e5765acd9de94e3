"""Push to talk: buffers the input stream until the client ends its utterance."""

from app import errors
from app.audio import AudioFormat
from app.audio.utterance_converter import UtteranceConverter
from app.pipeline.user_input import CommittedUtterance


class InputAudioBuffer:
    """Buffers one utterance, up to `max_bytes` and `max_s` seconds, and converts it meanwhile.

    Audio that arrives during a response is buffered, too: it belongs to the next utterance.
    """

    def __init__(self, *, max_bytes: int, max_s: float) -> None:
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._format = AudioFormat()
        self._converter = UtteranceConverter(self._format)
        self._size_bytes = 0
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
        self._size_bytes += len(data)
        if self._duration_s > self._max_s or self._size_bytes > self._max_bytes:
            self.clear()
            self._is_full = True
            raise errors.UtteranceTooLongError(
                f"more than {self._max_bytes} bytes or {self._max_s:g} s"
            )
        self._converter.feed(data)

    def take_utterance(self) -> CommittedUtterance | None:
        """Return the utterance, and clear the buffer; None if it was too long.

        Raises `EmptyAudioError`.
        """
        was_full = self._is_full
        utterance = CommittedUtterance(self._converter.finish(), self._size_bytes, self._duration_s)
        self.clear()
        if was_full:
            return None
        if not utterance.pcm:
            raise errors.EmptyAudioError("no audio was streamed")
        return utterance

    def clear(self) -> None:
        """Drop the buffered audio."""
        self._converter = UtteranceConverter(self._format)
        self._size_bytes = 0
        self._is_full = False

    @property
    def _duration_s(self) -> float:
        return self._size_bytes / self._format.bytes_per_second
