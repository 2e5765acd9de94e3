"""RIFF/WAVE headers, written and removed."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio import (
    PCM16_16K,
    AudioFormat,
    HeaderStripper,
    wav,
    wav_header,
)
from app.errors import (
    ProtocolError,
)
from tests.audio.signals import MULAW_8K, PCM, slices

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


def test_a_header_is_what_other_programs_read() -> None:
    whole = wav(b"\1" * 3, MULAW_8K)
    assert len(wav_header(MULAW_8K, 3)) == 44
    assert struct.unpack_from("<I", whole, 4) == (len(whole) - 8,)
    assert struct.unpack_from("<HHIIHH", whole, 20) == (7, 1, 8000, 8000, 1, 8)
    assert wav_header(PCM16_16K, None)[40:] == b"\xff" * 4
    with pytest.raises(ValueError, match="cannot hold"):
        wav_header(PCM16_16K, 1 << 32)


@pytest.mark.parametrize(
    ("stream", "audio", "audio_format"),
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
        pytest.param(b"RIFX" + PCM, b"RIFX" + PCM, None, id="like RIF"),
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
def test_a_header_is_removed_however_it_is_cut(
    stream: bytes, audio: bytes, audio_format: AudioFormat | None, sizes: list[int]
) -> None:
    stripper = HeaderStripper()
    out = b"".join(stripper.feed(chunk) for chunk in slices(stream, sizes))
    assert out + stripper.flush() == audio
    assert stripper.format == audio_format


def test_audio_is_not_held_back_once_it_is_known_to_be_audio() -> None:
    stripper = HeaderStripper()
    assert stripper.feed(b"RI") == b""
    assert not stripper.decided
    assert stripper.feed(b"xx") == b"RIxx"
    assert stripper.decided


def test_the_length_of_a_header_is_limited() -> None:
    stripper = HeaderStripper()
    stripper.feed(wav_header(PCM16_16K, None)[:36])
    junk = b"JUNK" + struct.pack("<I", 1000) + bytes(1000)
    out = b"".join(stripper.feed(junk) for _ in range(20))
    assert stripper.decided
    assert len(out) > 15_000


@pytest.mark.parametrize(("channels", "bits"), [(2, 16), (1, 24)])
def test_a_header_of_an_unsupported_format(channels: int, bits: int) -> None:
    header = bytearray(wav_header(PCM16_16K, None))
    struct.pack_into("<H", header, 22, channels)
    struct.pack_into("<H", header, 34, bits)
    with pytest.raises(ProtocolError, match=f"{channels} channels, {bits} bits"):
        HeaderStripper().feed(bytes(header))
