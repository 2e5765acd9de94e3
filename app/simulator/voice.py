"""SimulatedVoice: text to audio in any format, made in one worker thread and remembered."""

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol

from app.audio import PCM16_16K, AudioFormat, encode_mulaw, resample
from app.simulator.espeak import is_installed, shared_espeak
from app.simulator.tone_voice import ToneVoice

_CACHE_BYTES = 64 * 2**20  # some 400 sentences of 5 s


class Synthesizer(Protocol):
    """What can speak; blocking, and safe to call from any thread."""

    name: str

    def speak(self, text: str) -> bytes:
        """Return PCM16 at 16 kHz, mono."""


def choose(voice: Literal["auto", "espeak", "hum"]) -> Synthesizer:
    """Pick the synthesizer without loading it; `auto` falls back to the hum."""
    if voice == "hum" or (voice == "auto" and not is_installed()):
        return ToneVoice()
    return shared_espeak()


class SimulatedVoice:
    """Speak in any format; the same text gives the same bytes for as long as it is remembered."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self.name = synthesizer.name
        self._synthesizer = synthesizer
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, AudioFormat], bytes] = OrderedDict()
        self._cached_bytes = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sim-voice")

    def speak(self, text: str, audio_format: AudioFormat = PCM16_16K) -> bytes:
        """Return the whole audio of a text; blocks when it is not remembered."""
        with self._lock:
            known = self._recall(text, audio_format)
            return known if known is not None else self._make(text, audio_format)

    async def spoken(self, text: str, audio_format: AudioFormat = PCM16_16K) -> bytes:
        """Return the whole audio of a text without blocking the loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, self.speak, text, audio_format)

    def close(self) -> None:
        """Let the worker go; what it is saying right now is dropped."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _make(self, text: str, audio_format: AudioFormat) -> bytes:
        if audio_format == PCM16_16K:
            audio = self._synthesizer.speak(text)
        else:
            base = self._recall(text, PCM16_16K) or self._make(text, PCM16_16K)
            audio = resample(base, PCM16_16K.sample_rate_hz, audio_format.sample_rate_hz)
            audio = encode_mulaw(audio) if audio_format.encoding == "mulaw" else audio
        self._remember(text, audio_format, audio)
        return audio

    def _recall(self, text: str, audio_format: AudioFormat) -> bytes | None:
        audio = self._cache.get((text, audio_format))
        if audio is not None:
            self._cache.move_to_end((text, audio_format))
        return audio

    def _remember(self, text: str, audio_format: AudioFormat, audio: bytes) -> None:
        self._cache[(text, audio_format)] = audio
        self._cached_bytes += len(audio)
        while self._cached_bytes > _CACHE_BYTES:
            _, forgotten = self._cache.popitem(last=False)
            self._cached_bytes -= len(forgotten)
