"""Formats, headers, companding, resampling."""

import math
import struct
from array import array

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio import (
    PCM16_16K,
    AudioFormat,
    Converter,
    HeaderStripper,
    SampleAligner,
    decode_mulaw,
    encode_mulaw,
    peak_dbfs,
    resample,
    wav,
    wav_header,
)
from app.errors import ProtocolError
from tests.audio.recordings import sine, tone_share

MULAW_8K = AudioFormat("mulaw", 8000)


def slices(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut `data` at `sizes`; the rest is the last slice."""
    cut, start = [], 0
    for size in sizes:
        cut.append(data[start : start + size])
        start += size
    return [*cut, data[start:]]


# Formats


def test_a_format_measures_bytes() -> None:
    assert (PCM16_16K.channels, PCM16_16K.bytes_per_sample) == (1, 2)
    assert PCM16_16K.bytes_per_second == 32_000
    assert PCM16_16K.duration_ms(640) == 20
    assert MULAW_8K.duration_ms(160) == 20


@given(st.binary(max_size=100), st.lists(st.integers(0, 9)), st.integers(1, 4))
def test_an_aligner_gives_whole_samples_only(data: bytes, sizes: list[int], width: int) -> None:
    aligner = SampleAligner(width)
    out = [aligner.feed(part) for part in slices(data, sizes)]
    assert all(len(part) % width == 0 for part in out)
    assert b"".join(out) == data[: len(data) - len(data) % width]
    assert aligner.pending == len(data) % width


def test_peak() -> None:
    assert peak_dbfs(b"") == peak_dbfs(bytes(4)) == -math.inf
    assert peak_dbfs(struct.pack("<2h", 5, -32_768)) == 0
    assert peak_dbfs(struct.pack("<2h", 16_384, -5)) == pytest.approx(-6.02, abs=0.01)


# Headers


def test_a_header_is_what_others_read() -> None:
    whole = wav(b"\1" * 3, MULAW_8K)
    assert len(wav_header(MULAW_8K, 3)) == 44
    assert struct.unpack_from("<I", whole, 4) == (len(whole) - 8,)
    assert struct.unpack_from("<HHIIHH", whole, 20) == (7, 1, 8000, 8000, 1, 8)
    assert wav_header(PCM16_16K, None)[40:] == b"\xff" * 4
    with pytest.raises(ValueError, match="cannot hold"):
        wav_header(PCM16_16K, 1 << 32)


PCM = sine(16_000, 0.05)
CHUNK_LIST = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
EXTENSIBLE = (
    b"RIFF\xff\xff\xff\xffWAVEfmt "
    + struct.pack("<IHHIIHHHHI", 40, 0xFFFE, 1, 8000, 16_000, 2, 16, 22, 16, 4)
    + struct.pack("<H", 1)
    + b"\0" * 14
    + b"data\xff\xff\xff\xff"
)


def with_list(header: bytes) -> bytes:
    return header[:36] + CHUNK_LIST + header[36:]


@pytest.mark.parametrize(
    ("answer", "audio", "audio_format"),
    [
        pytest.param(PCM, PCM, None, id="headerless"),
        pytest.param(wav(PCM, PCM16_16K), PCM, PCM16_16K, id="wav"),
        pytest.param(wav(PCM[:801], MULAW_8K), PCM[:801], MULAW_8K, id="mulaw, padded"),
        pytest.param(wav_header(PCM16_16K, None) + PCM, PCM, PCM16_16K, id="streaming"),
        pytest.param(wav_header(PCM16_16K, 0) + PCM, PCM, PCM16_16K, id="size 0"),
        pytest.param(with_list(wav_header(PCM16_16K, None)) + PCM, PCM, PCM16_16K, id="LIST"),
        pytest.param(wav(PCM, PCM16_16K) + CHUNK_LIST, PCM, PCM16_16K, id="LIST behind"),
        pytest.param(EXTENSIBLE + PCM, PCM, AudioFormat(sample_rate_hz=8000), id="extensible"),
        pytest.param(b"RIFF1234WAVX" + PCM, b"RIFF1234WAVX" + PCM, None, id="like RIFF"),
        pytest.param(b"RIFX" + PCM, b"RIFX" + PCM, None, id="like R"),
        pytest.param(b"RIF", b"RIF", None, id="ends as it might begin"),
        pytest.param(b"RIFF1234WAV", b"RIFF1234WAV", None, id="one byte short"),
        pytest.param(wav_header(PCM16_16K, None), b"", PCM16_16K, id="header only"),
        pytest.param(wav_header(PCM16_16K, None)[:38], b"", PCM16_16K, id="cut header"),
        pytest.param(
            wav_header(PCM16_16K, None)[:36] + b"LIST\xff\xff\xff\xff" + PCM,
            PCM,
            PCM16_16K,
            id="lying LIST",
        ),
        pytest.param(b"", b"", None, id="nothing"),
    ],
)
@given(sizes=st.lists(st.integers(0, 60)))
def test_a_header_comes_off_however_it_is_cut(
    answer: bytes, audio: bytes, audio_format: AudioFormat | None, sizes: list[int]
) -> None:
    stripper = HeaderStripper()
    out = b"".join(stripper.feed(part) for part in slices(answer, sizes))
    assert out + stripper.flush() == audio
    assert stripper.format == audio_format


def test_audio_is_not_held_back_once_it_is_known_to_be_audio() -> None:
    stripper = HeaderStripper()
    assert stripper.feed(b"RI") == b""
    assert not stripper.decided
    assert stripper.feed(b"xx") == b"RIxx"
    assert stripper.decided


def test_a_header_without_data_is_bounded() -> None:
    stripper = HeaderStripper()
    stripper.feed(wav_header(PCM16_16K, None)[:36])
    junk = b"JUNK" + struct.pack("<I", 1000) + bytes(1000)
    out = b"".join(stripper.feed(junk) for _ in range(20))
    assert stripper.decided
    assert len(out) > 15_000


@pytest.mark.parametrize(("channels", "bits"), [(2, 16), (1, 24)])
def test_a_header_of_a_format_that_we_have_not(channels: int, bits: int) -> None:
    header = bytearray(wav_header(PCM16_16K, None))
    struct.pack_into("<H", header, 22, channels)
    struct.pack_into("<H", header, 34, bits)
    with pytest.raises(ProtocolError, match=f"{channels} channels, {bits} bits"):
        HeaderStripper().feed(bytes(header))


# Mu-law


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


def test_mulaw_refuses_half_samples() -> None:
    with pytest.raises(ValueError, match="bytes length"):
        encode_mulaw(b"\0")


# Conversion


def test_equal_formats_pass_through_uncopied() -> None:
    data = b"abc"
    assert Converter(PCM16_16K, AudioFormat()).feed(data) is data
    assert resample(PCM, 8000, 8000) == PCM


@pytest.mark.parametrize("source", [PCM16_16K, MULAW_8K, AudioFormat(sample_rate_hz=24_000)])
@pytest.mark.parametrize("target", [PCM16_16K, MULAW_8K, AudioFormat("mulaw", 16_000)])
def test_a_converter_composes_it_all(source: AudioFormat, target: AudioFormat) -> None:
    pcm = sine(source.sample_rate_hz, 0.5)
    data = encode_mulaw(pcm) if source.encoding == "mulaw" else pcm
    converter = Converter(source, target)
    out = b"".join(converter.feed(data[start : start + 77]) for start in range(0, len(data), 77))
    out += converter.flush()
    assert target.duration_ms(len(out)) == pytest.approx(500, abs=1)
    pcm = decode_mulaw(out) if target.encoding == "mulaw" else out
    assert tone_share(pcm, target.sample_rate_hz) > 0.99
