"""The plan of an audio stream: chunks, pacing, faults."""

from itertools import pairwise

import pytest

from app.audio import PCM16_16K
from app.simulator.faults import FaultName
from app.simulator.profiles import PROFILES
from app.simulator.tts import FaultDelays, plan_stream, split_into_chunks

DELAYS = FaultDelays(stall_s=60, late_s=0.04)


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("size", [0, 2, 640, 1_600, 3_200, 6_400, 83_000, 395_000, 6_400_000])
def test_chunks_keep_within_the_sizes_that_were_seen(size: int, odd: bool) -> None:
    audio = (bytes(range(251)) * (size // 251 + 1))[:size]
    chunks = split_into_chunks(audio, 6_400, odd=odd)
    assert b"".join(chunks) == audio
    assert all(len(chunk) <= 65_536 for chunk in chunks)
    if len(chunks) > 1:
        assert min(map(len, chunks)) >= 320
        assert len(chunks[0]) % 2 == odd
    if 6_400 <= size <= 1_000_000:
        assert 5 <= len(chunks) <= 40


def test_neighbouring_chunks_differ_in_size() -> None:
    sizes = list(map(len, split_into_chunks(bytes(160_000), 6_400)))
    assert any(a != b for a, b in pairwise(sizes))


def test_audio_is_paced_by_absolute_times() -> None:
    audio = bytes(32_000 * 5)
    steps = plan_stream(audio, PCM16_16K, PROFILES["measured"], (), DELAYS)
    sent = 0
    for step in steps[:-1]:
        assert step.at_s == pytest.approx(0.44 + sent / (32_000 * 3))
        sent += len(step.data)
    assert steps[-1].action == "end"
    assert steps[-1].at_s == pytest.approx(0.44 + 5 / 3, abs=0.1)


def test_the_instant_profile_waits_for_nothing() -> None:
    steps = plan_stream(bytes(160_000), PCM16_16K, PROFILES["instant"], (), DELAYS)
    assert {step.at_s for step in steps} == {0}


@pytest.mark.parametrize("fault", ["drop", "stall", "stall_first", "late_frames", "truncated"])
@pytest.mark.parametrize("size", [0, 2, 320, 700, 160_000])
def test_every_fault_works_with_short_audio(fault: FaultName, size: int) -> None:
    steps = plan_stream(bytes(size), PCM16_16K, PROFILES["fast"], (fault,), DELAYS)
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    assert sum(step.action in ("end", "drop") for step in steps) == 1
    assert all(step.data for step in steps if step.action == "audio")
