"""`AudioFormat`, `SampleAligner` and `peak_dbfs`."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio import (
    PCM16_16K,
    SampleAligner,
    peak_dbfs,
)
from tests.audio.signals import MULAW_8K, slices


def test_a_format_measures_bytes() -> None:
    assert (PCM16_16K.channels, PCM16_16K.bytes_per_sample) == (1, 2)
    assert PCM16_16K.bytes_per_second == 32_000
    assert PCM16_16K.duration_ms(640) == 20
    assert MULAW_8K.duration_ms(160) == 20


@given(st.binary(max_size=100), st.lists(st.integers(0, 9)), st.integers(1, 4))
def test_an_aligner_returns_whole_samples_only(data: bytes, sizes: list[int], width: int) -> None:
    aligner = SampleAligner(width)
    out = [aligner.feed(chunk) for chunk in slices(data, sizes)]
    assert all(len(chunk) % width == 0 for chunk in out)
    assert b"".join(out) == data[: len(data) - len(data) % width]
    assert aligner.pending == len(data) % width


def test_peak_dbfs() -> None:
    assert peak_dbfs(b"") == peak_dbfs(bytes(4)) == -math.inf
    assert peak_dbfs(struct.pack("<2h", 5, -32_768)) == 0
    assert peak_dbfs(struct.pack("<2h", 16_384, -5)) == pytest.approx(-6.02, abs=0.01)
