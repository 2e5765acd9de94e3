"""Operations on every chunk, token and sentence, as a multiple of a plain loop in the same run.

A slower machine slows down both, so only slower code changes the multiple. The bounds are three
times the values measured when they were set: they catch growth, not jitter.
"""

import asyncio
import base64
import io
import json
import random
import time
import wave
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from app.api.clients.native import client_messages
from app.api.clients.native.serializer import chunk_frame
from app.audio import PCM16_16K, AudioFormat, Converter, HeaderStripper, SampleAligner, wav
from app.audio.decoding import Decoder
from app.hamsa import wire
from app.pipeline import events
from app.text.sentence_splitter import SentenceSplitter
from app.text.speakable import speakable_chars
from app.text.tts_text import tts_text
from app.transports.completeness import min_expected_duration_ms
from app.transports.hold_back import HoldBackBuffer
from bench.load import SENTENCES

CHUNK = bytes(range(256)) * 25
"""200 ms at 16 kHz, as the provider sends it."""

TEXT = " ".join(SENTENCES)
LOOP = asyncio.new_event_loop()
"""The loop on which recordings are decoded; a large one goes to a thread of it."""


def stereo_recording() -> bytes:
    """Return a WAV file of 44.1 kHz, stereo, 10 s: noise."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(44_100)
        writer.writeframes(random.Random(1).randbytes(4 * 441_000))  # noqa: S311 - no secret
    return file.getvalue()


RECORDING_MESSAGE = json.dumps({"audio_base64": base64.b64encode(stereo_recording()).decode()})
END = json.dumps({"type": "end", "payload": {"message": "End of TTS stream"}})


def reference() -> int:
    """Run a plain loop of 1,000 rounds."""
    total = 0
    for number in range(1000):
        total += number & 7
    return total


def split_sentences() -> None:
    """Split a response of two sentences that arrives in pieces of four characters."""
    splitter = SentenceSplitter()
    for at in range(0, len(TEXT), 4):
        splitter.feed(TEXT[at : at + 4])
    splitter.flush()


def relay_chunks() -> None:
    """Decode, strip, align, hold back and convert ten chunks of the provider."""
    header, aligner = HeaderStripper(), SampleAligner(2)
    hold_back, converter = HoldBackBuffer(PCM16_16K), Converter(PCM16_16K, PCM16_16K)
    for _ in range(10):
        frame = wire.decode(CHUNK)
        assert isinstance(frame, wire.Audio)
        converter.feed(hold_back.feed(aligner.feed(header.feed(frame.data))))


def serialize_chunk() -> str:
    """Serialize a chunk as a client event in base64."""
    return chunk_frame(events.AudioChunk(1, CHUNK), 1)


def decode_control() -> None:
    """Decode a control message of the provider."""
    assert isinstance(wire.decode(END), wire.End)


def convert_to_telephone() -> None:
    """Convert a second of speech to mu-law at 8 kHz."""
    Converter(PCM16_16K, AudioFormat("mulaw", 8000)).feed(CHUNK * 5)


def compute_min_duration() -> None:
    """Derive a sentence's TTS text and its shortest plausible duration."""
    min_expected_duration_ms(speakable_chars(tts_text(SENTENCES[0])))


def recording_to_request() -> None:
    """Make the STT request of a client's message with a WAV: 44.1 kHz, stereo, 10 s."""
    _, audio_base64 = client_messages.split_recording(RECORDING_MESSAGE)
    recording = client_messages.decode_audio(audio_base64, max_bytes=10 * 1024 * 1024)
    pcm = LOOP.run_until_complete(Decoder().decode(recording, "micro"))
    wire.stt_request(wav(pcm, PCM16_16K), language="ar")


def seconds_of(work: Callable[[], object]) -> float:
    """Return the shortest of 200 runs, which other load on the machine disturbs least."""
    shortest = float("inf")
    for _ in range(200):
        started_at = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - started_at)
    return shortest


BOUNDS: dict[Callable[[], object], float] = {
    split_sentences: 5.6,
    relay_chunks: 1.2,
    serialize_chunk: 0.15,
    decode_control: 0.1,
    convert_to_telephone: 9.3,
    compute_min_duration: 3.3,
    recording_to_request: 270.0,
}
"""Upper bound of each, in reference loops."""


@pytest.mark.parametrize("work", BOUNDS, ids=lambda work: work.__name__)
def test_costs_no_more_than(work: Callable[[], object], benchmark: BenchmarkFixture) -> None:
    """Measure an operation with pytest-benchmark, and compare it with the reference loop."""
    before = seconds_of(reference)
    benchmark(work)
    loop_s = min(before, seconds_of(reference))
    assert benchmark.stats is not None
    ratio = benchmark.stats.stats.min / loop_s
    benchmark.extra_info.update(
        loops=ratio, bound=BOUNDS[work], operation=(work.__doc__ or "").strip().rstrip(".")
    )
    assert ratio < BOUNDS[work]
