"""Formats, headers, companding, resampling, decoding."""

import math
import struct
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio import (
    PCM16_16K,
    AudioFormat,
    Converter,
    HeaderStripper,
    Resampler,
    SampleAligner,
    decode_mulaw,
    decode_utterance,
    encode_mulaw,
    peak_dbfs,
    resample,
    wav,
    wav_header,
)
from app.errors import (
    EmptyAudioError,
    ProtocolError,
    UndecodableAudioError,
    UtteranceTooLongError,
)

ARABIC_WAV = Path(__file__).parent.parent / "data" / "arabic.wav"
MULAW_8K = AudioFormat("mulaw", 8000)


def sine(rate_hz: int, seconds: float, hz: float = 440) -> bytes:
    step = 2 * math.pi * hz / rate_hz
    count = round(rate_hz * seconds)
    return array("h", (round(10_000 * math.sin(step * i)) for i in range(count))).tobytes()


def tone_share(pcm: bytes, rate_hz: int, hz: float = 440) -> float:
    """Measure how much of the energy of PCM16 is a tone of `hz`, from 0 to 1 (Goertzel)."""
    samples = array("h", pcm)
    step = 2 * math.pi * hz / rate_hz
    re = sum(s * math.cos(step * i) for i, s in enumerate(samples))
    im = sum(s * math.sin(step * i) for i, s in enumerate(samples))
    return 2 * (re * re + im * im) / (len(samples) * sum(s * s for s in samples))


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


# Resampling


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (8000, 16_000), (16_000, 8000)])
def test_resampling_keeps_length_and_tone(from_hz: int, to_hz: int) -> None:
    out = resample(sine(from_hz, 1), from_hz, to_hz)
    assert len(out) / 2 == pytest.approx(to_hz, abs=2)
    assert tone_share(out, to_hz) > 0.99
    assert peak_dbfs(out) == pytest.approx(-10.3, abs=0.3)


def test_a_stream_resampled_in_odd_chunks_has_no_seams() -> None:
    pcm = sine(24_000, 0.5)
    resampler = Resampler(24_000, 16_000)
    parts = [resampler.feed(pcm[start : start + 333]) for start in range(0, len(pcm), 333)]
    assert len(b"".join(parts)) > 0.99 * 16_000  # next to nothing is held back
    assert b"".join(parts) + resampler.flush() == resample(pcm, 24_000, 16_000)
    assert resampler.feed(pcm) + resampler.flush() == resample(pcm, 24_000, 16_000)


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


# Decoding


def record(
    container: str, codec: str, rate_hz: int = 48_000, seconds: float = 1, **options: str
) -> bytes:
    """Record a sine as a browser or a phone would."""
    file = BytesIO()
    layout = options.pop("layout", "mono")
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        context = stream.codec_context
        frame = av.AudioFrame(format="s16", layout="mono", samples=round(rate_hz * seconds))
        frame.sample_rate, frame.pts = rate_hz, 0
        frame.planes[0].update(sine(rate_hz, seconds))
        resampler = av.AudioResampler(
            context.format, layout, rate_hz, frame_size=context.frame_size or None
        )
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            output.mux(stream.encode(part))
    return file.getvalue()


RECORDINGS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "wav": ("wav", "pcm_s16le", 44_100, {}),
    "wav 8-bit": ("wav", "pcm_u8", 8000, {}),
    "wav 24-bit stereo": ("wav", "pcm_s24le", 48_000, {"layout": "stereo"}),
    "wav 5.1": ("wav", "pcm_s16le", 48_000, {"layout": "5.1"}),
    "wav float": ("wav", "pcm_f32le", 48_000, {}),
    "wav mulaw": ("wav", "pcm_mulaw", 8000, {}),
    "wav alaw": ("wav", "pcm_alaw", 8000, {}),
    "webm": ("webm", "libopus", 48_000, {}),
    "webm live": ("webm", "libopus", 48_000, {"live": "1"}),
    "ogg": ("ogg", "libopus", 48_000, {}),
    "mp3": ("mp3", "libmp3lame", 44_100, {}),
    "mp3 bare": ("mp3", "libmp3lame", 44_100, {"id3v2_version": "0", "write_xing": "0"}),
    "m4a": ("ipod", "aac", 44_100, {}),
    "mp4 fragments": ("mp4", "aac", 44_100, {"movflags": "frag_keyframe+empty_moov"}),
    "flac": ("flac", "flac", 44_100, {}),
    "adts": ("adts", "aac", 44_100, {}),
}


def recorded(name: str, seconds: float = 1) -> bytes:
    container, codec, rate_hz, options = RECORDINGS[name]
    return record(container, codec, rate_hz, seconds, **options)


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_decode(name: str) -> None:
    pcm = decode_utterance(recorded(name), max_s=2)
    assert PCM16_16K.duration_ms(len(pcm)) == pytest.approx(1000, abs=55)  # AAC, MP3 pad
    assert tone_share(pcm, 16_000) > 0.9


def test_the_callers_line_decodes_to_itself() -> None:
    data = ARABIC_WAV.read_bytes()
    pcm = decode_utterance(data, max_s=30)
    assert wav(pcm, PCM16_16K) == data
    assert PCM16_16K.duration_ms(len(pcm)) > 2000
    assert peak_dbfs(pcm) > -20


@pytest.mark.parametrize("name", sorted(set(RECORDINGS) - {"m4a"}))
def test_a_recording_that_was_cut_off_decodes_as_far_as_it_goes(name: str) -> None:
    data = recorded(name, 3)
    pcm = decode_utterance(data[: len(data) * 2 // 3], max_s=4)
    assert 900 < PCM16_16K.duration_ms(len(pcm)) < 2200


@pytest.mark.parametrize("size", [0, 1 << 20, 0xFFFFFFFF])
def test_a_wav_with_wrong_sizes_decodes(size: int) -> None:
    header = bytearray(wav_header(PCM16_16K, None))
    struct.pack_into("<I", header, 4, size)
    struct.pack_into("<I", header, 40, size)
    assert decode_utterance(bytes(header) + PCM, max_s=1) == PCM


def test_a_recording_whose_rate_changes_midway() -> None:
    data = record("mp3", "libmp3lame", 44_100) + record(
        "mp3", "libmp3lame", 24_000, id3v2_version="0", write_xing="0"
    )
    assert PCM16_16K.duration_ms(len(decode_utterance(data, max_s=3))) > 1900


def test_damage_in_the_middle_costs_only_the_middle() -> None:
    data = bytearray(recorded("adts"))
    half = len(data) // 2
    data[half : half + 300] = b"\x55" * 300
    assert PCM16_16K.duration_ms(len(decode_utterance(bytes(data), max_s=2))) > 700


@pytest.mark.parametrize("data", [b"", wav(b"", PCM16_16K), wav_header(PCM16_16K, None)])
def test_empty_recordings(data: bytes) -> None:
    with pytest.raises(EmptyAudioError):
        decode_utterance(data, max_s=1)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"RIFF",
        PCM,
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"ID3\x04\0\0\0\0\0\0#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n",
        b"\x1aE\xdf\xa3" + bytes(200),
        b"\xff\xfb" + bytes(200),
        b"OggS" + bytes(200),
        b"\0\0\0\x18ftypM4A " + bytes(200),
        wav(PCM, AudioFormat(sample_rate_hz=1)),
        wav(PCM, AudioFormat(sample_rate_hz=2**31 - 1)),
    ],
)
def test_what_is_no_audio(data: bytes) -> None:
    with pytest.raises(UndecodableAudioError):
        decode_utterance(data, max_s=1)


def test_a_foreign_error_is_chained() -> None:
    with pytest.raises(UndecodableAudioError) as caught:
        decode_utterance(b"OggS" + bytes(200), max_s=1)
    assert isinstance(caught.value.__cause__, av.FFmpegError)


def test_a_codec_that_ffmpeg_does_not_know_is_told() -> None:
    recording = bytearray(wav(PCM, PCM16_16K))
    struct.pack_into("<H", recording, 20, 0)  # the codec's tag
    with pytest.raises(UndecodableAudioError):
        decode_utterance(bytes(recording), max_s=2)


def test_a_codec_off_the_list_is_not_decoded() -> None:
    with pytest.raises(UndecodableAudioError):
        decode_utterance(record("matroska", "ac3"), max_s=2)


def test_stderr_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("mp3", "webm"):
        decode_utterance(recorded(name)[:-500], max_s=2)
    with pytest.raises(UndecodableAudioError):
        decode_utterance(b"OggS" + bytes(200), max_s=1)
    assert capfd.readouterr() == ("", "")


def test_a_bomb_costs_no_time() -> None:
    file = BytesIO()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=16_000, layout="mono")
        for index in range(3600):
            frame = av.AudioFrame(format="s16", layout="mono", samples=16_000)
            frame.sample_rate, frame.pts = 16_000, index * 16_000
            frame.planes[0].update(bytes(32_000))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    started_s = time.perf_counter()
    with pytest.raises(UtteranceTooLongError):
        decode_utterance(file.getvalue(), max_s=10)
    assert time.perf_counter() - started_s < 0.5


def test_decoding_in_threads() -> None:
    recordings = [recorded(name) for name in ("webm", "mp3", "m4a", "wav")]

    def decode(data: bytes) -> bytes:
        return decode_utterance(data, max_s=2)

    alone = [decode(data) for data in recordings]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(decode, recordings * 5)) == alone * 5
