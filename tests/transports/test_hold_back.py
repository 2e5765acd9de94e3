"""What of an attempt may be heard, and where a continuation joins."""

from array import array

import pytest
from hypothesis import given
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


def let_through(gate: AttemptBuffer, audio: bytes, size: int = 640) -> bytes:
    passed = b"".join(gate.feed(audio[at : at + size]) for at in range(0, len(audio), size))
    return passed + gate.finish()


def test_a_640_byte_failure_is_held_back() -> None:
    gate = HoldBackBuffer(PCM16_16K)
    assert gate.feed(bytes(640)) == b""
    assert gate.position == 0


def test_the_first_chunk_that_outlasts_a_failure_passes_at_once_and_whole() -> None:
    gate = HoldBackBuffer(PCM16_16K)
    chunk = rendering(100)
    assert gate.feed(chunk) is chunk or gate.position == len(chunk)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=30))
def test_held_back_audio_comes_whole_and_in_order(sizes: list[int]) -> None:
    gate, audio, at, passed = HoldBackBuffer(PCM16_16K), rendering(400), 0, b""
    for size in sizes:
        passed += gate.feed(audio[at : at + 2 * size])
        at += 2 * size
    passed += gate.finish()
    assert passed == audio[: min(at, len(audio))]
    assert gate.position == len(passed)


@pytest.mark.parametrize("broken_ms", [1, 20, 149, 150, 151, 400, 999, 1000])
@pytest.mark.parametrize("size", [2, 640, 3200, 10**6])
def test_the_same_rendering_goes_on_at_the_very_byte(broken_ms: int, size: int) -> None:
    audio = rendering(1000)
    delivered = audio[: broken_ms * MS]
    gate = ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:])
    assert delivered + let_through(gate, audio, size) == audio
    assert gate.position == len(audio)


def test_another_rendering_goes_on_at_its_quietest_place_near_the_break() -> None:
    audio = bytearray(rendering(1000, seed=2))
    audio[440 * MS : 450 * MS] = bytes(10 * MS)  # a pause, 60 ms before the break
    delivered = rendering(500)
    rest = let_through(
        ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:]), bytes(audio)
    )
    joined_at = 1000 - len(rest) / MS
    assert 440 <= joined_at <= 450


def test_a_pause_outside_the_window_is_no_place_to_join() -> None:
    audio = bytearray(rendering(1000, seed=2))
    audio[300 * MS : 310 * MS] = bytes(10 * MS)
    delivered = rendering(500)
    rest = let_through(
        ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:]), bytes(audio)
    )
    assert 350 <= 1000 - len(rest) / MS <= 650


def test_nothing_is_let_through_before_the_join_is_decided() -> None:
    delivered = rendering(500)
    gate = ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:])
    assert gate.feed(rendering(640, seed=2)) == b""
    assert gate.feed(rendering(20, seed=2)) != b""


def test_a_rendering_that_ends_before_the_break_has_nothing_to_add() -> None:
    delivered = rendering(1000)
    gate = ContinuationSplice(PCM16_16K, len(delivered), delivered[-640:])
    assert let_through(gate, rendering(500, seed=2)) == b""
    assert gate.position == 500 * MS


def test_mu_law_is_joined_by_its_loudness_too() -> None:
    mulaw = AudioFormat("mulaw", 8000)
    loud, silent = b"\x00", b"\xff"
    audio = loud * 3520 + silent * 80 + loud * 4400
    gate = ContinuationSplice(mulaw, 4000, b"\x01" * 160)
    rest = let_through(gate, audio)
    assert 3520 <= len(audio) - len(rest) <= 3600
