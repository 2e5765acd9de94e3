"""What callers say: three seconds of a recorded line, in each form in which clients send it."""

import io
import wave
from functools import cache

import av
import numpy as np

from app.audio import PCM16_16K, wav
from bench.results import ROOT

RECORDING = ROOT / "tests" / "data" / "arabic.wav"

SECONDS = 3

FRAME_S = 0.02
FRAME_BYTES = round(PCM16_16K.bytes_per_second * FRAME_S)
"""What a microphone's stream is sent in."""

WEBM_RATE_HZ = 48_000
"""The rate at which Opus is recorded by browsers."""


@cache
def pcm() -> bytes:
    """Return the line as PCM16 at 16 kHz, whole frames: one utterance, which ends with speech."""
    with wave.open(str(RECORDING)) as file:
        frames: bytes = file.readframes(SECONDS * file.getframerate())
        return frames


@cache
def wav_recording() -> bytes:
    """Return the line as a WAV file of 16 kHz."""
    return wav(pcm(), PCM16_16K)


@cache
def webm_recording() -> bytes:
    """Return the line as a browser's MediaRecorder makes it: Opus in live WebM."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm", options={"live": "1"}) as output:
        stream = output.add_stream("libopus", rate=WEBM_RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm(), "<i2")[np.newaxis], "s16", "mono")
        frame.sample_rate = PCM16_16K.sample_rate_hz
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", WEBM_RATE_HZ, stream.codec_context.frame_size
        )
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(part))
    return file.getvalue()
