"""SimulatedVoice: text to audio in any format, made in one worker thread and cached."""

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol

from app.audio import PCM16_16K, AudioFormat, encode_mulaw
from app.audio.resample import resample
from app.simulator.espeak import is_installed, shared_espeak
from app.simulator.tone_voice import ToneVoice

_MAX_CACHE_BYTES = 64 * 2**20  # some 400 sentences of 5 s


class Synthesizer(Protocol):
    """What turns text into speech; it blocks, and may be called from any thread."""

    name: str

    def synthesize(self, text: str) -> bytes:
        """Return PCM16 at 16 kHz, mono."""


def choose_synthesizer(voice: Literal["auto", "espeak", "hum"]) -> Synthesizer:
    """Return a synthesizer, not loaded yet; `auto` is espeak-ng where it is installed."""
    if voice == "hum" or (voice == "auto" and not is_installed()):
        return ToneVoice()
    return shared_espeak()


class SimulatedVoice:
    """Synthesize in any format; a text gives the same bytes for as long as it is cached."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self.name = synthesizer.name
        self._synthesizer = synthesizer
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, AudioFormat], bytes] = OrderedDict()
        self._cached_bytes = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sim-voice")

    def synthesize_blocking(self, text: str, audio_format: AudioFormat = PCM16_16K) -> bytes:
        """Return the whole audio of a text; blocks for some 10 ms a sentence unless cached."""
        with self._lock:
            cached = self._cached(text, audio_format)
            return cached if cached is not None else self._make(text, audio_format)

    async def synthesize(self, text: str, audio_format: AudioFormat = PCM16_16K) -> bytes:
        """Return the whole audio of a text, without blocking the loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._worker, self.synthesize_blocking, text, audio_format
        )

    def close(self) -> None:
        """Stop the worker thread; does not wait for a synthesis that is under way."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _make(self, text: str, audio_format: AudioFormat) -> bytes:
        if audio_format == PCM16_16K:
            audio = self._synthesizer.synthesize(text)
        else:
            base = self._cached(text, PCM16_16K) or self._make(text, PCM16_16K)
            audio = resample(base, PCM16_16K.sample_rate_hz, audio_format.sample_rate_hz)
            audio = encode_mulaw(audio) if audio_format.encoding == "mulaw" else audio
        self._cache_audio(text, audio_format, audio)
        return audio

    def _cached(self, text: str, audio_format: AudioFormat) -> bytes | None:
        audio = self._cache.get((text, audio_format))
        if audio is not None:
            self._cache.move_to_end((text, audio_format))
        return audio

    def _cache_audio(self, text: str, audio_format: AudioFormat, audio: bytes) -> None:
        self._cache[(text, audio_format)] = audio
        self._cached_bytes += len(audio)
        while self._cached_bytes > _MAX_CACHE_BYTES:
            _, evicted = self._cache.popitem(last=False)
            self._cached_bytes -= len(evicted)
