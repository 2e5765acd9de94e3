"""Streams that are needed at their end: any rate in, 16 kHz out."""

import numpy as np
import pytest

from app.audio import PCM16_16K, AudioFormat, decode_mulaw, encode_mulaw, wav
from app.audio.utterance_converter import BLOCK_BYTES, UtteranceConverter
from app.audio.wav_file import WavFile
from app.audio.wav_samples import to_pcm16
from app.decoder.ffmpeg import decode_recording
from tests.audio.recordings import Shorts, difference_db, noise


def converted(data: bytes, format: AudioFormat, chunk_bytes: int) -> Shorts:
    converter = UtteranceConverter(format)
    for start in range(0, len(data), chunk_bytes):
        converter.feed(data[start : start + chunk_bytes])
    return np.frombuffer(converter.finish(), "<i2")


@pytest.mark.parametrize("chunk_bytes", [641, BLOCK_BYTES, 1 << 20])
@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000])
def test_a_stream_becomes_what_a_file_of_it_does(rate_hz: int, chunk_bytes: int) -> None:
    format = AudioFormat("pcm_s16le", rate_hz)
    data = noise(rate_hz, 2, 200, 3000).tobytes()
    file = wav(data, format)
    ours, parsed = converted(data, format, chunk_bytes), WavFile.parse(file)
    assert parsed is not None
    whole = np.frombuffer(to_pcm16(parsed), "<i2")
    assert len(ours) == len(whole)
    assert np.abs(ours.astype(int) - whole).max() <= 1
    theirs = np.frombuffer(bytes(decode_recording(file, max_s=10)), "<i2")
    assert difference_db(ours, theirs) < -80


def test_a_telephone_is_expanded_and_resampled() -> None:
    format = AudioFormat("mulaw", 8000)
    data = encode_mulaw(noise(8000, 5, 200, 3000).tobytes())
    expanded = converted(decode_mulaw(data), AudioFormat("pcm_s16le", 8000), 1 << 20)
    assert np.abs(converted(data, format, 160).astype(int) - expanded).max() <= 1


def test_what_is_16_khz_already_passes_as_it_is() -> None:
    data = noise(16_000, 0.1, 200, 3000).tobytes()
    assert converted(data + b"\1", PCM16_16K, 7).tobytes() == data


@pytest.mark.parametrize("format", [PCM16_16K, AudioFormat("mulaw", 8000), AudioFormat("mulaw")])
@pytest.mark.parametrize("data", [b"", b"\1"])
def test_next_to_nothing_does_no_harm(format: AudioFormat, data: bytes) -> None:
    assert len(converted(data, format, 1)) <= 2


def test_little_waits_to_be_converted_at_the_end() -> None:
    converter = UtteranceConverter(AudioFormat("pcm_s16le", 48_000))
    for _ in range(1000):
        converter.feed(bytes(1920))
        assert len(converter._unconverted) < BLOCK_BYTES
