"""Mu-law, against G.711 and FFmpeg."""

import struct
from array import array

import av
import pytest

from app.audio import (
    decode_mulaw,
    encode_mulaw,
)


def test_mulaw_against_g711() -> None:
    # Table 2a of G.711 in 16-bit terms: the ends of the segments, and zero from both sides.
    values = {0xFF: 0, 0x7F: 0, 0x80: 32_124, 0x00: -32_124, 0x8F: 16_764, 0x9F: 8_316, 0xF0: 120}
    for code, value in values.items():
        assert decode_mulaw(bytes([code])) == struct.pack("<h", value)
    assert encode_mulaw(struct.pack("<4h", 0, 32_767, -32_768, -1)) == b"\xff\x80\x00\x7f"


def test_mulaw_against_ffmpeg() -> None:
    decoder = av.CodecContext.create("pcm_mulaw", "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    (frame,) = decoder.decode(av.Packet(bytes(range(256))))
    assert bytes(frame.planes[0])[:512] == decode_mulaw(bytes(range(256)))


def test_mulaw_round_trip() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # minus zero comes back as zero
    assert encode_mulaw(decode_mulaw(codes)) == codes
    samples = array("h", range(-32_635, 32_636))
    returned = array("h", decode_mulaw(encode_mulaw(samples.tobytes())))
    for sample, back in zip(samples, returned, strict=True):
        assert abs(sample - back) <= max(4, (abs(sample) + 132) / 32)


def test_mulaw_rejects_half_samples() -> None:
    with pytest.raises(ValueError, match="multiple of element size"):
        encode_mulaw(b"\0")
