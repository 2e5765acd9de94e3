"""The samples of a WavFile as PCM16, 16 kHz, mono: what speech to text takes."""

import math
from functools import cache

import numpy as np

from app.audio.companding import decode_mulaw
from app.audio.speech_resampler import Floats, Shorts, SpeechResampler
from app.audio.wav_file import WavFile

BLOCK_FRAMES = 65_536
"""Converted at a time: what is between file and result stays small, and in the CPU's cache."""

_HALF_POWER = math.sqrt(0.5)
_SPEAKER_WEIGHTS = (
    _HALF_POWER, _HALF_POWER, 1.0, 0.0,  # front left, right, centre; low frequencies
    0.5, 0.5, _HALF_POWER, _HALF_POWER,  # back left, right; left and right of the centre
    0.5, 0.5, 0.5,  # back centre; side left, right
)  # fmt: skip
"""Share of each speaker in a mono mix, by ITU-R BS.775, and as FFmpeg has it."""
_USUAL_SPEAKERS = (0, 0x4, 0x3, 0xB, 0x107, 0x37, 0x3F, 0x70F, 0x63F)
"""Those of so many channels where the file does not say it."""


def to_pcm16(wav: WavFile) -> bytes:
    """Convert a file."""
    mix = _mix(wav.channels, wav.speakers)
    resampler = SpeechResampler(wav.sample_rate_hz)
    blocks: list[bytes] = []
    for first in range(0, wav.frames, BLOCK_FRAMES):
        mono = _floats(wav.read(first, BLOCK_FRAMES), wav)
        if wav.channels > 1:  # a product by 1 would take longer than all else
            mono = mono.reshape(-1, wav.channels) @ mix
        blocks.append(resampler.convert(mono, is_last=first + BLOCK_FRAMES >= wav.frames))
    return b"".join(blocks)


def _floats(block: memoryview, wav: WavFile) -> Floats:
    """Return samples as floats of PCM16's scale; what is no number is silence."""
    if wav.kind != "float":
        return _shorts(block, wav).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # a stranger may write any number
        samples = np.frombuffer(block, f"<f{wav.bytes_per_sample}").astype(np.float32)
        is_finite = np.isfinite(samples.sum())
    if not is_finite:  # one at least is no number, or very large
        np.nan_to_num(samples, copy=False, posinf=0.0, neginf=0.0)
    np.clip(samples, -1.0, 1.0, out=samples)
    samples *= 32_768
    return samples


def _shorts(block: memoryview, wav: WavFile) -> Shorts:
    """Return integer samples as PCM16, wider ones cut to their upper 16 bits."""
    if wav.kind == "mulaw":
        return np.frombuffer(decode_mulaw(bytes(block)), "<i2")
    octets = np.frombuffer(block, np.uint8)
    if wav.kind == "alaw":
        return _alaw_table()[octets]
    if wav.bytes_per_sample == 1:
        return (octets.astype(np.int16) - 128) << 8
    width = wav.bytes_per_sample
    return np.ndarray(len(block) // width, "<i2", block, width - 2, (width,))


def _mix(channels: int, speakers: int) -> Floats:
    """Return each channel's share in the mono mix; together they are 1, so nothing clips."""
    if speakers.bit_count() != channels and channels < len(_USUAL_SPEAKERS):
        speakers = _USUAL_SPEAKERS[channels]
    known = [weight for bit, weight in enumerate(_SPEAKER_WEIGHTS) if speakers >> bit & 1]
    if len(known) != channels or not sum(known):
        known = [1.0] * channels  # speakers that nobody knows are equals
    return np.array(known, np.float32) / np.float32(sum(known))


@cache
def _alaw_table() -> Shorts:
    """Return PCM16 for each code of G.711 A-law."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = code >> 4 & 0x07, code & 0x0F
    linear = (mantissa << 4) + 8
    linear = np.where(exponent == 0, linear, (linear + 0x100) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, linear, -linear).astype(np.int16)
