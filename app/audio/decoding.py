"""Decoder: a recording in any format that people send, out of it PCM16 at 16 kHz, mono."""

import asyncio
import math
from typing import Protocol

from app.audio.decoder_pool import DecoderPool
from app.audio.format import PCM16_16K
from app.audio.wav_file import WavFile
from app.decoder.containers import container_of, is_wav
from app.errors import EmptyAudioError, UndecodableAudioError, UtteranceTooLongError

MAX_INLINE_SAMPLES = 1_000_000
"""Most samples, in and out, that are converted on the event loop: 4 ms at 4 ns each. More go to a
thread, where they take two to three times as long while the loop is busy: both want the GIL."""


class RecordingDecoder(Protocol):
    """Turns what a caller sent into what speech to text takes."""

    async def decode(self, data: bytes, session_id: str) -> bytes:
        """Return headerless PCM16, 16 kHz, mono.

        Raises `EmptyAudioError`, `UndecodableAudioError`, `UtteranceTooLongError` or
        `DecoderBusyError`.
        """


class Decoder:
    """Reads WAV itself, and has all else decoded in processes of their own."""

    def __init__(self, pool: DecoderPool | None = None, *, max_s: float = 120.0) -> None:
        self._pool = pool
        self._max_s = max_s

    async def decode(self, data: bytes, session_id: str) -> bytes:
        """Return headerless PCM16, 16 kHz, mono; see `RecordingDecoder`."""
        if not data:
            raise EmptyAudioError("no bytes")
        if is_wav(data) and (wav := WavFile.parse(data)) is not None:
            return await self._converted(wav)
        container_of(data)  # what is no recording starts no process
        if self._pool is None:
            raise UndecodableAudioError("only WAV is decoded here")
        return await self._pool.decode(data, session_id)

    async def _converted(self, wav: WavFile) -> bytes:
        if wav.frames == 0:
            raise EmptyAudioError("a recording without samples")
        if wav.duration_s > self._max_s:
            raise UtteranceTooLongError(f"longer than {self._max_s:g} s")
        if wav.is_pcm16_16k:
            return bytes(wav.read(0, wav.frames))
        from app.audio.wav_samples import to_pcm16  # noqa: PLC0415 - slow the first time

        if _cost_in_samples(wav) <= MAX_INLINE_SAMPLES:
            return to_pcm16(wav)
        return await asyncio.to_thread(to_pcm16, wav)


def _cost_in_samples(wav: WavFile) -> int:
    """Estimate the work of a conversion by the samples that go in and come out."""
    return wav.frames * wav.channels + math.ceil(wav.duration_s * PCM16_16K.sample_rate_hz)
