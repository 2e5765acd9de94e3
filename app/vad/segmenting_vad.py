"""VoiceListener: finds the utterances in a microphone's stream, and cuts them out whole."""

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
"""Silence that an utterance keeps at its end; the weak end of a word is in it."""

_BYTES_PER_MS = PCM16_16K.bytes_per_second // 1000


class SegmentingVad(UtteranceDetector):
    """Hears one stream in `format`. Utterances begin `pre_roll_ms` before their first syllable."""

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
        self._audio = bytearray()
        """What may yet be part of an utterance."""
        self._audio_from_ms = 0.0

    def process(self, data: bytes, *, during_response: bool) -> list[SpeechEvent]:
        """Take what a microphone sent, and return what it means."""
        events: list[SpeechEvent] = []
        self._pending += self._converter.feed(data)
        while len(self._pending) >= WINDOW_BYTES:
            window = bytes(self._pending[:WINDOW_BYTES])
            del self._pending[:WINDOW_BYTES]
            self._audio += window
            for probability in self._detector.feed(window, keep_open=self._endpointer.is_active):
                event = self._endpointer.feed(probability, during_response=during_response)
                if event is not None:
                    events.append(self._event(event))
            self._drop_unused()
        return events

    def finish(self) -> SpeechEnded | None:
        """End the utterance here; None when nobody speaks."""
        return self._ended("client") if self._endpointer.finish() else None

    def _event(self, event: EndpointEvent) -> SpeechEvent:
        match event:
            case EndpointEvent.BEGAN:
                return SpeechBegan(self._endpointer.start_ms)
            case EndpointEvent.PAUSED:
                return SpeechPaused(self._utterance())
            case EndpointEvent.RESUMED:
                return SpeechResumed()
            case EndpointEvent.ENDED:
                return self._ended("silence")
            case EndpointEvent.CUT:
                return self._ended("limit")

    def _ended(self, reason: EndReason) -> SpeechEnded:
        heard, pcm = self._endpointer, self._utterance()
        self._drop(self._offset(heard.end_ms + TAIL_MS))  # the next one begins after this
        return SpeechEnded(heard.end_ms, pcm, heard.now_ms - heard.end_ms, reason)

    def _utterance(self) -> bytes:
        start = self._offset(self._endpointer.start_ms - self._pre_roll_ms)
        return bytes(self._audio[start : self._offset(self._endpointer.end_ms + TAIL_MS)])

    def _drop_unused(self) -> None:
        """Drop what can be part of no utterance any more."""
        self._drop(self._offset(self._endpointer.keep_from_ms - self._pre_roll_ms))

    def _drop(self, size: int) -> None:
        size = min(size, len(self._audio))
        del self._audio[:size]
        self._audio_from_ms += size / _BYTES_PER_MS

    def _offset(self, at_ms: float) -> int:
        """Return where in the kept audio a moment of the stream is."""
        return max(0, round(at_ms - self._audio_from_ms) * _BYTES_PER_MS)


async def create_segmenting_vad(
    format: AudioFormat, limits: EndpointerLimits, *, pre_roll_ms: float
) -> SegmentingVad:
    """Open a listener; the first of a process loads the model."""
    model = await asyncio.to_thread(load_model)
    detector = VoiceDetector(model, load_pre_vad())
    return SegmentingVad(format, detector, limits, pre_roll_ms=pre_roll_ms)
