"""Recordings in WAV: our parser and resampler beside FFmpeg's, sample by sample."""

import threading

import numpy as np
import numpy.typing as npt
import pytest

from app.audio import PCM16_16K, wav
from app.audio.decoding import MAX_INLINE_SAMPLES, Decoder
from app.audio.wav_file import MAX_CHUNKS, WavFile
from app.audio.wav_samples import to_pcm16
from app.decoder.ffmpeg import decode_recording
from app.errors import EmptyAudioError, UndecodableAudioError, UtteranceTooLongError
from tests.audio.recordings import difference_db, noise
from tests.audio.wav_corpus import (
    ODD_HEADERS,
    PCM,
    SHORTS,
    UNUSABLE,
    chunk,
    extensible,
    fmt,
    mutations,
    riff,
    widened,
)

Shorts = npt.NDArray[np.int16]


def read(data: bytes) -> Shorts:
    file = WavFile.parse(data)
    assert file is not None
    return np.frombuffer(to_pcm16(file), "<i2")


def by_ffmpeg(data: bytes) -> Shorts:
    return np.frombuffer(bytes(decode_recording(data, max_s=60)), "<i2")


@pytest.mark.parametrize("name", ODD_HEADERS)
def test_it_reads_the_samples_that_ffmpeg_reads(name: str) -> None:
    ours, theirs = read(ODD_HEADERS[name]), by_ffmpeg(ODD_HEADERS[name])
    assert len(ours) == len(theirs) > 0
    # one step: FFmpeg rounds a mix of channels, and floats, in its own way
    assert np.abs(ours.astype(int) - theirs).max() <= 1


MIXED_OR_ROUNDED = ("channels", "speakers", "stereo", "float")


@pytest.mark.parametrize(
    "name", [name for name in ODD_HEADERS if not any(word in name for word in MIXED_OR_ROUNDED)]
)
def test_whole_numbers_in_one_channel_are_the_very_same(name: str) -> None:
    assert read(ODD_HEADERS[name]).tobytes() == by_ffmpeg(ODD_HEADERS[name]).tobytes()


@pytest.mark.parametrize("name", UNUSABLE)
async def test_what_is_no_audio_is_told_without_a_decoder(name: str) -> None:
    with pytest.raises(UndecodableAudioError):
        decode_recording(UNUSABLE[name], max_s=60)
    with pytest.raises(UndecodableAudioError):
        await Decoder().decode(UNUSABLE[name], "s")


def test_files_of_nothing_but_chunks_are_refused() -> None:
    few, many = (
        riff(fmt(), chunk(b"data", PCM), *[chunk(b"JUNK", b"")] * count)
        for count in (MAX_CHUNKS - 3, MAX_CHUNKS - 1)
    )
    assert (read(few) == SHORTS).all()
    with pytest.raises(UndecodableAudioError, match="chunks"):
        WavFile.parse(many)


def test_24_bits_in_32_are_read_though_ffmpeg_refuses_them() -> None:
    data = riff(extensible(bits=32, valid_bits=24), chunk(b"data", widened(4)))
    assert (read(data) == SHORTS).all()
    with pytest.raises(UndecodableAudioError):
        decode_recording(data, max_s=1)


def test_speakers_that_nobody_knows_are_equals() -> None:
    channels = np.stack([SHORTS] * 9, axis=1)
    channels[:, 4] = 0
    data = riff(fmt(channels=9), chunk(b"data", channels.tobytes()))
    assert np.abs(read(data) - SHORTS * (8 / 9)).max() <= 1


def test_mutated_files_give_what_ffmpeg_gives_or_an_error() -> None:
    compared = 0
    for data in mutations(600, seed=13):
        try:
            file = WavFile.parse(data)
        except UndecodableAudioError:
            continue
        if file is None or file.frames == 0 or file.duration_s > 60:
            continue
        ours = np.frombuffer(to_pcm16(file), "<i2")
        assert len(ours) == pytest.approx(file.duration_s * 16_000, abs=2)
        try:
            theirs = by_ffmpeg(data)
        except (UndecodableAudioError, EmptyAudioError):
            continue
        if file.sample_rate_hz == 16_000:
            assert len(ours) == pytest.approx(len(theirs), abs=1)
        compared += 1
    assert compared > 200


# Conversion


@pytest.mark.parametrize(
    "rate_hz", [11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
)
def test_resampling_differs_from_ffmpeg_by_80_db_in_the_voice_band(rate_hz: int) -> None:
    samples = noise(rate_hz, 2, 200, 3400)
    data = riff(fmt(rate_hz=rate_hz), chunk(b"data", samples.tobytes()))
    assert difference_db(read(data), by_ffmpeg(data)) < -80


def test_resampling_of_a_telephone_line_differs_by_80_db_below_ffmpegs_slope() -> None:
    samples = noise(8000, 2, 200, 3000)  # FFmpeg begins to close at 3 kHz, soxr at 3.6
    data = riff(fmt(rate_hz=8000), chunk(b"data", samples.tobytes()))
    assert difference_db(read(data), by_ffmpeg(data)) < -80


def test_what_is_above_the_band_is_gone() -> None:
    samples = noise(44_100, 2, 9000, 20_000)
    data = riff(fmt(rate_hz=44_100), chunk(b"data", samples.tobytes()))
    assert np.abs(read(data)[100:-100]).max() <= 1


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(44_100, 2, 200, 7000)
    data = riff(fmt(rate_hz=44_100), chunk(b"data", samples.tobytes()))
    whole = read(data)
    monkeypatch.setattr("app.audio.wav_samples.BLOCK_FRAMES", 1000)
    assert np.abs(read(data).astype(int) - whole).max() <= 1


# The decoder


async def test_16_khz_is_copied_out_of_the_file_on_the_event_loop() -> None:
    data = wav(PCM, PCM16_16K)
    file = WavFile.parse(data)
    assert file is not None
    assert file.is_pcm16_16k
    assert await Decoder().decode(data, "s") == PCM


async def test_long_files_are_converted_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def noted(file: WavFile) -> bytes:
        threads.append(threading.current_thread())
        return to_pcm16(file)

    monkeypatch.setattr("app.audio.wav_samples.to_pcm16", noted)
    for count in (1000, MAX_INLINE_SAMPLES):
        data = riff(fmt(rate_hz=48_000), chunk(b"data", bytes(2 * count)))
        assert len(await Decoder().decode(data, "s")) == pytest.approx(2 * count / 3, abs=4)
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


async def test_the_limit_of_seconds_is_told_before_anything_is_converted() -> None:
    data = riff(fmt(7, rate_hz=8000, bits=8), chunk(b"data", bytes(8001 * 10)))
    with pytest.raises(UtteranceTooLongError, match="10 s"):
        await Decoder(max_s=10).decode(data, "s")
    assert len(await Decoder(max_s=11).decode(data, "s")) == pytest.approx(2 * 16_002 * 10, abs=8)


@pytest.mark.parametrize("data", [b"", wav(b"", PCM16_16K), riff(fmt(), b"data\0\0\0\0")])
async def test_empty_recordings(data: bytes) -> None:
    with pytest.raises(EmptyAudioError):
        await Decoder().decode(data, "s")


async def test_without_processes_only_wav_is_decoded() -> None:
    for data in (b"OggS" + bytes(100), riff(fmt(0x55), chunk(b"data", PCM)), b"#EXTM3U\n"):
        with pytest.raises(UndecodableAudioError):
            await Decoder().decode(data, "s")
