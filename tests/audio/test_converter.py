"""`Converter`."""

import pytest

from app.audio import PCM16_16K, AudioFormat, Converter, decode_mulaw, encode_mulaw
from app.audio.resample import resample
from tests.audio.signals import MULAW_8K, PCM, sine, tone_share


def test_equal_formats_pass_through_uncopied() -> None:
    data = b"abc"
    assert Converter(PCM16_16K, AudioFormat()).feed(data) is data
    assert resample(PCM, 8000, 8000) == PCM


@pytest.mark.parametrize("source", [PCM16_16K, MULAW_8K, AudioFormat(sample_rate_hz=24_000)])
@pytest.mark.parametrize("target", [PCM16_16K, MULAW_8K, AudioFormat("mulaw", 16_000)])
def test_a_converter_changes_encoding_and_rate(source: AudioFormat, target: AudioFormat) -> None:
    pcm = sine(source.sample_rate_hz, 0.5)
    data = encode_mulaw(pcm) if source.encoding == "mulaw" else pcm
    converter = Converter(source, target)
    out = b"".join(converter.feed(data[start : start + 77]) for start in range(0, len(data), 77))
    out += converter.flush()
    assert target.duration_ms(len(out)) == pytest.approx(500, abs=1)
    pcm = decode_mulaw(out) if target.encoding == "mulaw" else out
    assert tone_share(pcm, target.sample_rate_hz) > 0.99
