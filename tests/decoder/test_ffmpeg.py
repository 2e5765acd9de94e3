"""What FFmpeg makes of recordings, in this process: the tests' own."""

import struct
import time
from io import BytesIO
from pathlib import Path

import av
import pytest

from app.audio import PCM16_16K, AudioFormat, peak_dbfs, wav, wav_header
from app.decoder.ffmpeg import MAX_FRUITLESS_PACKETS, decode_recording
from app.errors import EmptyAudioError, UndecodableAudioError, UtteranceTooLongError
from tests.audio.attacks import BROKEN_OPUS, SILENT_OPUS, mp3_with_inflating_tag, ogg_of
from tests.audio.recordings import RECORDINGS, record, recorded
from tests.audio.signals import sine, tone_share

ARABIC_WAV = Path(__file__).parent.parent / "data" / "arabic.wav"
PCM = sine(16_000, 0.05)


def decoded(data: bytes, *, max_s: float) -> bytes:
    return bytes(decode_recording(data, max_s=max_s))


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_decode(name: str) -> None:
    pcm = decoded(recorded(name), max_s=2)
    assert PCM16_16K.duration_ms(len(pcm)) == pytest.approx(1000, abs=55)  # AAC, MP3 pad
    assert tone_share(pcm, 16_000) > 0.9


def test_the_callers_line_decodes_to_itself() -> None:
    data = ARABIC_WAV.read_bytes()
    pcm = decoded(data, max_s=30)
    assert wav(pcm, PCM16_16K) == data
    assert PCM16_16K.duration_ms(len(pcm)) > 2000
    assert peak_dbfs(pcm) > -20


@pytest.mark.parametrize("name", sorted(set(RECORDINGS) - {"m4a"}))
def test_a_recording_that_was_cut_off_decodes_as_far_as_it_goes(name: str) -> None:
    data = recorded(name, 3)
    pcm = decoded(data[: len(data) * 2 // 3], max_s=4)
    assert 900 < PCM16_16K.duration_ms(len(pcm)) < 2200


@pytest.mark.parametrize("size", [0, 1 << 20, 0xFFFFFFFF])
def test_a_wav_with_wrong_sizes_decodes(size: int) -> None:
    header = bytearray(wav_header(PCM16_16K, None))
    struct.pack_into("<I", header, 4, size)
    struct.pack_into("<I", header, 40, size)
    assert decoded(bytes(header) + PCM, max_s=1) == PCM


def test_a_recording_whose_rate_changes_midway() -> None:
    data = record("mp3", "libmp3lame", 44_100) + record(
        "mp3", "libmp3lame", 24_000, id3v2_version="0", write_xing="0"
    )
    assert PCM16_16K.duration_ms(len(decoded(data, max_s=3))) > 1900


def test_damage_in_the_middle_costs_only_the_middle() -> None:
    data = bytearray(recorded("adts"))
    half = len(data) // 2
    data[half : half + 300] = b"\x55" * 300
    assert PCM16_16K.duration_ms(len(decoded(bytes(data), max_s=2))) > 700


@pytest.mark.parametrize("data", [b"", wav(b"", PCM16_16K), wav_header(PCM16_16K, None)])
def test_empty_recordings(data: bytes) -> None:
    with pytest.raises(EmptyAudioError):
        decoded(data, max_s=1)


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
        decoded(data, max_s=1)


def test_a_foreign_error_is_chained() -> None:
    with pytest.raises(UndecodableAudioError) as caught:
        decoded(b"OggS" + bytes(200), max_s=1)
    assert isinstance(caught.value.__cause__, av.FFmpegError)


def test_a_codec_that_ffmpeg_does_not_know_is_told() -> None:
    recording = bytearray(wav(PCM, PCM16_16K))
    struct.pack_into("<H", recording, 20, 0)  # the codec's tag
    with pytest.raises(UndecodableAudioError):
        decoded(bytes(recording), max_s=2)


def test_a_codec_off_the_list_is_not_decoded() -> None:
    with pytest.raises(UndecodableAudioError):
        decoded(record("matroska", "ac3"), max_s=2)


def test_stderr_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("mp3", "webm"):
        decoded(recorded(name)[:-500], max_s=2)
    with pytest.raises(UndecodableAudioError):
        decoded(b"OggS" + bytes(200), max_s=1)
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
        decoded(file.getvalue(), max_s=10)
    assert time.perf_counter() - started_s < 0.5


def id3(size: int) -> bytes:
    return b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


@pytest.mark.parametrize("name", ["mp3 bare", "adts", "flac"])
def test_tags_before_a_recording_are_passed_over(name: str) -> None:
    data = recorded(name)
    assert decoded(id3(1000) + id3(7) + data, max_s=2) == decoded(data, max_s=2)


def test_a_tag_that_ends_with_the_file_is_no_recording() -> None:
    for data in (id3(1000), id3(1000)[:500], id3(0)):
        with pytest.raises(UndecodableAudioError):
            decoded(data, max_s=2)


def test_a_tag_is_not_inflated() -> None:
    started_s = time.process_time()
    with pytest.raises(UndecodableAudioError):
        decoded(mp3_with_inflating_tag(frames=100), max_s=2)  # before: 6 s, 1.6 GB
    assert time.process_time() - started_s < 3


def test_what_is_broken_for_long_is_not_read_to_its_end() -> None:
    whole = ogg_of([SILENT_OPUS] * 200)
    assert PCM16_16K.duration_ms(len(decoded(whole, max_s=2))) == pytest.approx(500, abs=3)
    broken = ogg_of([SILENT_OPUS] * 100 + [BROKEN_OPUS] * 155, pages=100)  # 250 ms a page
    decoded_ms = PCM16_16K.duration_ms(len(decoded(broken, max_s=60)))
    assert decoded_ms == pytest.approx(250 * MAX_FRUITLESS_PACKETS / 155, abs=300)
