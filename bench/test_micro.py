"""What is done for every chunk, token and sentence, as a multiple of a plain loop in the same run.

A machine that is twice as slow is so for both; code that is twice as slow shows. The bounds are
three times what was measured when they were set: they catch what grows, not what jitters.
"""

import json
import time
from collections.abc import Callable

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from app.api.serializer import serialize
from app.audio import PCM16_16K, AudioFormat, Converter, HeaderStripper, SampleAligner
from app.hamsa import wire
from app.pipeline import events
from app.text.sentence_splitter import SentenceSplitter
from app.text.tts_text import tts_text
from app.transports.completeness import min_expected_duration_ms
from app.transports.hold_back import HoldBackBuffer
from bench.load import SENTENCES

CHUNK = bytes(range(256)) * 25
"""200 ms at 16 kHz, as the provider sends it."""

TEXT = " ".join(SENTENCES)
END = json.dumps({"type": "end", "payload": {"message": "End of TTS stream"}})


def reference() -> int:
    """Do something that costs what Python costs."""
    total = 0
    for number in range(1000):
        total += number & 7
    return total


def split() -> None:
    """Split an answer of two sentences that comes in pieces of four characters."""
    splitter = SentenceSplitter()
    for at in range(0, len(TEXT), 4):
        splitter.feed(TEXT[at : at + 4])
    splitter.flush()


def relayed() -> None:
    """Take ten chunks of the provider through all that is pure on their way to the client."""
    header, aligner = HeaderStripper(), SampleAligner(2)
    gate, converter = HoldBackBuffer(PCM16_16K), Converter(PCM16_16K, PCM16_16K)
    for _ in range(10):
        frame = wire.decode(CHUNK)
        assert isinstance(frame, wire.Audio)
        converter.feed(gate.feed(aligner.feed(header.feed(frame.data))))


def encoded() -> bytes:
    """Write a chunk as a client message in base64."""
    return orjson.dumps(serialize(events.AudioChunk(1, CHUNK), "ar"))


def control() -> None:
    """Read the provider's control messages."""
    assert isinstance(wire.decode(END), wire.End)


def telephone() -> None:
    """Turn a second of speech into what telephones take."""
    Converter(PCM16_16K, AudioFormat("mulaw", 8000)).feed(CHUNK * 5)


def judged() -> None:
    """Prepare a sentence, and find out how long it must last."""
    min_expected_duration_ms(tts_text(SENTENCES[0]))


def seconds_of(work: Callable[[], object]) -> float:
    """Return the shortest of many runs: what it costs when nothing else happens."""
    shortest = float("inf")
    for _ in range(200):
        started_at = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - started_at)
    return shortest


BOUNDS: dict[Callable[[], object], float] = {
    split: 5.6,
    relayed: 1.2,
    encoded: 0.9,
    control: 0.1,
    telephone: 75.0,
    judged: 3.3,
}
"""Most that each may cost, in reference loops of 1,000 rounds."""


@pytest.mark.parametrize("work", BOUNDS, ids=lambda work: work.__name__)
def test_costs_no_more_than(work: Callable[[], object], benchmark: BenchmarkFixture) -> None:
    """Measure by pytest-benchmark, and compare with the loop around it."""
    before = seconds_of(reference)
    benchmark(work)
    loop_s = min(before, seconds_of(reference))
    assert benchmark.stats is not None
    ratio = benchmark.stats.stats.min / loop_s
    benchmark.extra_info.update(
        loops=ratio, bound=BOUNDS[work], what=(work.__doc__ or "").strip().rstrip(".")
    )
    assert ratio < BOUNDS[work]
