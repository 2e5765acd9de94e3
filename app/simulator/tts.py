"""Text to speech as a plan: which bytes go out when, decided before anything is sent."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from app.audio import PCM16_16K, AudioFormat, wav_header
from app.simulator.faults import FaultName
from app.simulator.profiles import Timing

MAX_CHARACTERS = 2_000
TRUNCATED_BYTES = 640
"""Length of a truncated stream, whatever its format: 20 ms of PCM16 at 16 kHz."""

_MIN_CHUNK_BYTES, _MAX_CHUNK_BYTES = 320, 65_536  # the smallest and largest ever seen
_MIN_CHUNKS, _MAX_CHUNKS = 5, 40  # of a sentence
_CHUNKS_PER_SECOND = 5  # gives 8 to 40 chunks for sentences of 1.6 to 8 s
_LATE_CHUNKS = 2
_RATES_HZ = {"8k": 8_000, "16k": 16_000}


class InvalidRequestError(Exception):
    """The provider does not accept this request; the message is what it replies."""


@dataclass(frozen=True, slots=True)
class TTSRequest:
    """A text to speak, and the audio format to speak it in."""

    text: str
    format: AudioFormat

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> "TTSRequest":
        """Check a request as the provider does. Raises `InvalidRequestError`."""
        text, speaker = payload.get("text"), payload.get("speaker")
        mulaw, rate = payload.get("mulaw", False), payload.get("sampleRate", "16k")
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_CHARACTERS:
            raise InvalidRequestError(f"text must have 1 to {MAX_CHARACTERS} characters")
        if not isinstance(speaker, str) or not speaker:
            raise InvalidRequestError("speaker is required")
        if not isinstance(mulaw, bool):
            raise InvalidRequestError("mulaw must be true or false")
        if rate not in _RATES_HZ:
            raise InvalidRequestError("sampleRate must be 8k or 16k")
        if mulaw:  # always 8 kHz, whatever the rate says
            return cls(text, AudioFormat("mulaw", 8_000))
        return cls(text, replace(PCM16_16K, sample_rate_hz=_RATES_HZ[rate]))


@dataclass(frozen=True, slots=True)
class StreamStep:
    """One thing to do, `at_s` seconds after the request arrived."""

    at_s: float
    action: Literal["audio", "end", "drop"]
    """Send a chunk, end the stream regularly, or drop the connection."""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class FaultDelays:
    """How long the faults `stall` and `late_frames` delay, in seconds."""

    stall_s: float
    late_s: float


def plan_stream(
    audio: bytes,
    audio_format: AudioFormat,
    timing: Timing,
    faults: Collection[FaultName],
    delays: FaultDelays,
) -> list[StreamStep]:
    """Plan one audio stream with its faults; one step ends or drops it.

    Only late frames come after the end.
    """
    if "riff" in faults:
        audio = wav_header(audio_format, None) + audio
    if "truncated" in faults:
        audio = audio[:TRUNCATED_BYTES]
    target_bytes = audio_format.bytes_per_second // _CHUNKS_PER_SECOND
    chunks = (
        [audio]
        if "truncated" in faults
        else split_into_chunks(audio, target_bytes, odd="odd_chunks" in faults)
    )
    steps = list(_paced([chunk for chunk in chunks if chunk], audio_format, timing))
    end_s = steps[-1].at_s if steps else timing.first_audio_ms / 1000
    if "drop" in faults:
        return [*steps[: max(1, len(steps) // 2)], StreamStep(end_s, "drop")]
    if "late_frames" in faults:
        return _with_late_frames(steps, delays.late_s)
    steps.append(StreamStep(end_s, "end"))
    if "stall_first" in faults:
        return _delayed(steps, 0, delays.stall_s)
    if "stall" in faults:
        return _delayed(steps, max(1, len(steps) // 2), delays.stall_s)
    return steps


def split_into_chunks(audio: bytes, target_bytes: int, *, odd: bool = False) -> list[bytes]:
    """Split audio into chunks of uneven size around a target, as the provider does.

    Boundaries fall between 16-bit samples; with `odd` each of them falls inside one.
    """
    wanted = min(max(len(audio) // target_bytes, _MIN_CHUNKS), _MAX_CHUNKS)
    # The jitter of the boundaries lets a chunk grow or shrink by half.
    fewest = math.ceil(len(audio) * 1.5 / _MAX_CHUNK_BYTES)
    most = len(audio) // (2 * _MIN_CHUNK_BYTES + 4)
    count = max(min(wanted, most), fewest, 1)
    size = len(audio) / count
    boundaries = [0, *(_boundary(i, size, odd) for i in range(1, count)), len(audio)]
    return [audio[start:stop] for start, stop in pairwise(boundaries)]


def _boundary(index: int, size: float, odd: bool) -> int:
    jitter = (index * 7 % 11 - 5) / 20  # -0.25 to 0.25 of a chunk, in no visible order
    return int((index + jitter) * size) // 2 * 2 + odd


def _paced(chunks: list[bytes], audio_format: AudioFormat, timing: Timing) -> Iterator[StreamStep]:
    """Yield each chunk with the time at which the provider has synthesized it."""
    bytes_per_second = timing.realtime_factor * audio_format.bytes_per_second
    done = 0
    for chunk in chunks:
        elapsed_s = done / bytes_per_second if bytes_per_second else 0
        yield StreamStep(timing.first_audio_ms / 1000 + elapsed_s, "audio", chunk)
        done += len(chunk)


def _with_late_frames(steps: list[StreamStep], late_s: float) -> list[StreamStep]:
    """Put the end before the last chunks, and these `late_s` later than they were due."""
    late = min(_LATE_CHUNKS, max(len(steps) - 1, 0))
    on_time, behind = steps[: len(steps) - late], steps[len(steps) - late :]
    end_s = on_time[-1].at_s if on_time else 0.0
    return [
        *on_time,
        StreamStep(end_s, "end"),
        *(replace(step, at_s=max(step.at_s, end_s) + late_s) for step in behind),
    ]


def _delayed(steps: list[StreamStep], start: int, by_s: float) -> list[StreamStep]:
    return [
        *steps[:start],
        *(replace(step, at_s=step.at_s + by_s) for step in steps[start:]),
    ]
