"""Which audio of an attempt may be played, and where a continuation is spliced."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio import PCM16_16K, AudioFormat
from app.transports.hold_back import AttemptBuffer, ContinuationSplice, HoldBackBuffer

MS = 32
"""Bytes of a millisecond of PCM16 at 16 kHz."""


def rendering(ms: int, seed: int = 1) -> bytes:
    """Loud audio that is different everywhere, and for each seed."""
    samples = array("h")
    state = seed
    for _ in range(ms * 16):
        state = (state * 1103515245 + 12345) % 2**31
        samples.append(8000 + state % 8000)
    return samples.tobytes()


def feed_all(buffer: AttemptBuffer, audio: bytes, size: int = 640) -> bytes:
    passed = b"".join(buffer.feed(audio[at : at + size]) for at in range(0, len(audio), size))
    return passed + buffer.finish()


def test_a_640_byte_failure_is_held_back() -> None:
    buffer = HoldBackBuffer(PCM16_16K)
    assert buffer.feed(bytes(640)) == b""
    assert buffer.position == 0


def test_a_first_chunk_longer_than_a_failure_passes_at_once_and_whole() -> None:
    buffer = HoldBackBuffer(PCM16_16K)
    chunk = rendering(100)
    assert buffer.feed(chunk) is chunk or buffer.position == len(chunk)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(1, 200), min_size=1, max_size=30))
def test_held_back_audio_is_returned_whole_and_in_order(sizes: list[int]) -> None:
    buffer, audio, at, passed = HoldBackBuffer(PCM16_16K), rendering(400), 0, b""
    for size in sizes:
        passed += buffer.feed(audio[at : at + 2 * size])
        at += 2 * size
    passed += buffer.finish()
    assert passed == audio[: min(at, len(audio))]
    assert buffer.position == len(passed)


@pytest.mark.parametrize("broken_ms", [1, 20, 149, 150, 151, 400, 999, 1000])
@pytest.mark.parametrize("size", [2, 640, 3200, 10**6])
def test_the_same_rendering_is_spliced_at_the_very_byte(broken_ms: int, size: int) -> None:
    audio = rendering(1000)
    delivered = audio[: broken_ms * MS]
    buffer = ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:])
    assert delivered + feed_all(buffer, audio, size) == audio
    assert buffer.position == len(audio)


def test_another_rendering_is_spliced_at_its_quietest_place_near_the_break() -> None:
    audio = bytearray(rendering(1000, seed=2))
    audio[440 * MS : 450 * MS] = bytes(10 * MS)  # a pause, 60 ms before the break
    delivered = rendering(500)
    rest = feed_all(ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:]), bytes(audio))
    spliced_at_ms = 1000 - len(rest) / MS
    assert 440 <= spliced_at_ms <= 450


def test_a_pause_outside_the_window_is_no_place_for_a_splice() -> None:
    audio = bytearray(rendering(1000, seed=2))
    audio[300 * MS : 310 * MS] = bytes(10 * MS)
    delivered = rendering(500)
    rest = feed_all(ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:]), bytes(audio))
    assert 350 <= 1000 - len(rest) / MS <= 650


def test_nothing_is_returned_before_the_splice_is_decided() -> None:
    delivered = rendering(500)
    buffer = ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:])
    assert buffer.feed(rendering(640, seed=2)) == b""
    assert buffer.feed(rendering(20, seed=2)) != b""


def test_a_rendering_that_ends_before_the_break_has_nothing_to_add() -> None:
    delivered = rendering(1000)
    buffer = ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:])
    assert feed_all(buffer, rendering(500, seed=2)) == b""
    assert buffer.position == 500 * MS


def test_mu_law_is_spliced_by_its_loudness_too() -> None:
    mulaw = AudioFormat("mulaw", 8000)
    loud, silent = b"\x00", b"\xff"
    audio = loud * 3520 + silent * 80 + loud * 4400
    buffer = ContinuationSplice(mulaw, 4000, b"\x01" * 160)
    rest = feed_all(buffer, audio)
    assert 3520 <= len(audio) - len(rest) <= 3600
