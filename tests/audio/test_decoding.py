"""Decoding of recordings, whole, damaged and hostile."""

import struct
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import av
import pytest

from app.audio import (
    PCM16_16K,
    AudioFormat,
    decode_utterance,
    peak_dbfs,
    wav,
    wav_header,
)
from app.errors import (
    EmptyAudioError,
    UndecodableAudioError,
    UtteranceTooLongError,
)
from tests.audio.recordings import RECORDINGS, record, recorded
from tests.audio.signals import PCM, tone_share

ARABIC_WAV = Path(__file__).parent.parent / "data" / "arabic.wav"


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_decoded(name: str) -> None:
    pcm = decode_utterance(recorded(name), max_s=2)
    assert PCM16_16K.duration_ms(len(pcm)) == pytest.approx(1000, abs=55)  # AAC, MP3 pad
    assert tone_share(pcm, 16_000) > 0.9


def test_a_recording_of_pcm16_decodes_to_itself() -> None:
    data = ARABIC_WAV.read_bytes()
    pcm = decode_utterance(data, max_s=30)
    assert wav(pcm, PCM16_16K) == data
    assert PCM16_16K.duration_ms(len(pcm)) > 2000
    assert peak_dbfs(pcm) > -20


@pytest.mark.parametrize("name", sorted(set(RECORDINGS) - {"m4a"}))
def test_a_recording_that_was_cut_off_is_decoded_up_to_there(name: str) -> None:
    data = recorded(name, 3)
    pcm = decode_utterance(data[: len(data) * 2 // 3], max_s=4)
    assert 900 < PCM16_16K.duration_ms(len(pcm)) < 2200


@pytest.mark.parametrize("size", [0, 1 << 20, 0xFFFFFFFF])
def test_a_wav_with_wrong_sizes_is_decoded(size: int) -> None:
    header = bytearray(wav_header(PCM16_16K, None))
    struct.pack_into("<I", header, 4, size)
    struct.pack_into("<I", header, 40, size)
    assert decode_utterance(bytes(header) + PCM, max_s=1) == PCM


def test_a_recording_whose_rate_changes_midway() -> None:
    data = record("mp3", "libmp3lame", 44_100) + record(
        "mp3", "libmp3lame", 24_000, id3v2_version="0", write_xing="0"
    )
    assert PCM16_16K.duration_ms(len(decode_utterance(data, max_s=3))) > 1900


def test_damage_in_the_middle_loses_only_the_middle() -> None:
    data = bytearray(recorded("adts"))
    half = len(data) // 2
    data[half : half + 300] = b"\x55" * 300
    assert PCM16_16K.duration_ms(len(decode_utterance(bytes(data), max_s=2))) > 700


@pytest.mark.parametrize("data", [b"", wav(b"", PCM16_16K), wav_header(PCM16_16K, None)])
def test_an_empty_recording(data: bytes) -> None:
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
def test_what_is_not_audio(data: bytes) -> None:
    with pytest.raises(UndecodableAudioError):
        decode_utterance(data, max_s=1)


def test_an_error_of_ffmpeg_is_chained() -> None:
    with pytest.raises(UndecodableAudioError) as caught:
        decode_utterance(b"OggS" + bytes(200), max_s=1)
    assert isinstance(caught.value.__cause__, av.FFmpegError)


def test_a_codec_that_ffmpeg_does_not_know_is_rejected() -> None:
    recording = bytearray(wav(PCM, PCM16_16K))
    struct.pack_into("<H", recording, 20, 0)  # the codec's tag
    with pytest.raises(UndecodableAudioError):
        decode_utterance(bytes(recording), max_s=2)


def test_a_codec_that_is_not_listed_is_rejected() -> None:
    with pytest.raises(UndecodableAudioError):
        decode_utterance(record("matroska", "ac3"), max_s=2)


def test_ffmpeg_writes_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("mp3", "webm"):
        decode_utterance(recorded(name)[:-500], max_s=2)
    with pytest.raises(UndecodableAudioError):
        decode_utterance(b"OggS" + bytes(200), max_s=1)
    assert capfd.readouterr() == ("", "")


def test_decoding_stops_at_the_limit() -> None:
    file = BytesIO()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=16_000, layout="mono")
        for index in range(3600):
            frame = av.AudioFrame(format="s16", layout="mono", samples=16_000)
            frame.sample_rate, frame.pts = 16_000, index * 16_000
            frame.planes[0].update(bytes(32_000))
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    started_s = time.process_time()
    with pytest.raises(UtteranceTooLongError):
        decode_utterance(file.getvalue(), max_s=10)
    assert time.process_time() - started_s < 0.2


def test_decoding_in_threads_gives_the_same() -> None:
    recordings = [recorded(name) for name in ("webm", "mp3", "m4a", "wav")]

    def decode(data: bytes) -> bytes:
        return decode_utterance(data, max_s=2)

    alone = [decode(data) for data in recordings]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(decode, recordings * 5)) == alone * 5
