"""The utterance detector that cuts whole utterances out of an input stream."""

import asyncio

from app.audio import PCM16_16K, AudioFormat, Converter
from app.vad.base import (
    EndReason,
    SpeechBegan,
    SpeechEnded,
    SpeechEvent,
    SpeechPaused,
    SpeechResumed,
    UtteranceDetector,
)
from app.vad.endpointer import Endpointer, EndpointerLimits, EndpointEvent
from app.vad.voice_detector import WINDOW_BYTES, WINDOW_MS, VoiceDetector, load_model, load_pre_vad

TAIL_MS = 200
"""Silence that is kept at the end of an utterance: the weak end of its last word is in it."""

_BYTES_PER_MS = PCM16_16K.bytes_per_second // 1000


class SegmentingVad(UtteranceDetector):
    """Processes one stream in `format`. An utterance begins `pre_roll_ms` before its speech."""

    def __init__(
        self,
        format: AudioFormat,
        detector: VoiceDetector,
        limits: EndpointerLimits,
        *,
        pre_roll_ms: float,
    ) -> None:
        self._converter = Converter(format, PCM16_16K)
        self._detector = detector
        self._endpointer = Endpointer(limits, WINDOW_MS)
        self._pre_roll_ms = pre_roll_ms
        self._pending = bytearray()
        """Less than one window of audio."""
        self._audio = bytearray()
        """Audio that may yet be part of an utterance."""
        self._audio_from_ms = 0.0

    def process(self, data: bytes, *, during_response: bool) -> list[SpeechEvent]:
        """Take the next audio, and return what was detected in it."""
        events: list[SpeechEvent] = []
        self._pending += self._converter.feed(data)
        while len(self._pending) >= WINDOW_BYTES:
            window = bytes(self._pending[:WINDOW_BYTES])
            del self._pending[:WINDOW_BYTES]
            self._audio += window
            for probability in self._detector.feed(
                window, bypass_pre_vad=self._endpointer.is_active
            ):
                event = self._endpointer.feed(probability, during_response=during_response)
                if event is not None:
                    events.append(self._speech_event(event))
            self._drop_unused()
        return events

    def finish(self) -> SpeechEnded | None:
        """End the utterance here; None when there is none."""
        return self._ended("client") if self._endpointer.finish() else None

    def _speech_event(self, event: EndpointEvent) -> SpeechEvent:
        match event:
            case EndpointEvent.BEGAN:
                return SpeechBegan(self._endpointer.start_ms)
            case EndpointEvent.PAUSED:
                return SpeechPaused(self._utterance())
            case EndpointEvent.RESUMED:
                return SpeechResumed()
            case EndpointEvent.ENDED:
                return self._ended("silence")
            case EndpointEvent.LIMIT:
                return self._ended("limit")

    def _ended(self, reason: EndReason) -> SpeechEnded:
        """Build the event, and drop the utterance's audio: the next one begins after it."""
        end_ms, pcm = self._endpointer.end_ms, self._utterance()
        self._drop(self._offset(end_ms + TAIL_MS))
        return SpeechEnded(end_ms, pcm, self._endpointer.now_ms - end_ms, reason)

    def _utterance(self) -> bytes:
        start = self._offset(self._endpointer.start_ms - self._pre_roll_ms)
        return bytes(self._audio[start : self._offset(self._endpointer.end_ms + TAIL_MS)])

    def _drop_unused(self) -> None:
        """Drop audio that can no longer be part of an utterance."""
        self._drop(self._offset(self._endpointer.keep_from_ms - self._pre_roll_ms))

    def _drop(self, size: int) -> None:
        size = min(size, len(self._audio))
        del self._audio[:size]
        self._audio_from_ms += size / _BYTES_PER_MS

    def _offset(self, at_ms: float) -> int:
        """Return the offset in the kept audio of a moment of the stream."""
        return max(0, round(at_ms - self._audio_from_ms) * _BYTES_PER_MS)


async def create_segmenting_vad(
    format: AudioFormat, limits: EndpointerLimits, *, pre_roll_ms: float
) -> SegmentingVad:
    """Create a detector for one stream. The first call in a process loads the model, 0.3 s."""
    model = await asyncio.to_thread(load_model)
    detector = VoiceDetector(model, load_pre_vad())
    return SegmentingVad(format, detector, limits, pre_roll_ms=pre_roll_ms)
