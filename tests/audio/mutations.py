"""Recordings with faults, as a fuzzer makes them: seeded, so that each is the same every time."""

import random
from collections.abc import Callable, Iterator

from tests.audio.attacks import ogg_checksum

HEAD_BYTES = 256
"""Most structure is at the beginning: every second fault is there."""

EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Sizes and counts that readers trip over."""

OGG_HEAD_BYTES = 27

Fault = Callable[[bytearray, int, random.Random], None]


def _flip_bit(data: bytearray, at: int, chosen: random.Random) -> None:
    data[at] ^= 1 << chosen.randrange(8)


def _overwrite(data: bytearray, at: int, chosen: random.Random) -> None:
    size = min(chosen.randrange(1, 17), len(data) - at)
    data[at : at + size] = chosen.randbytes(size)


def _write_extreme(data: bytearray, at: int, chosen: random.Random) -> None:
    number = chosen.choice(EXTREMES).to_bytes(4, chosen.choice(("big", "little")))
    data[at : at + 4] = number[: len(data) - at]


def _cut_off(data: bytearray, at: int, _: random.Random) -> None:
    del data[at + 1 :]


def _cut_out(data: bytearray, at: int, chosen: random.Random) -> None:
    del data[at : at + chosen.randrange(1, 64)]


def _repeat(data: bytearray, at: int, chosen: random.Random) -> None:
    data[at:at] = data[at : at + chosen.randrange(1, 512)]


FAULTS: tuple[Fault, ...] = (
    _flip_bit,
    _overwrite,
    _write_extreme,
    _cut_off,
    _cut_out,
    _repeat,
)


def mutations(recording: bytes, count: int, *, seed: str) -> Iterator[bytes]:
    """Yield `count` variants of a recording, each with one to four faults."""
    chosen = random.Random(seed)
    for _ in range(count):
        data = bytearray(recording)
        for _ in range(chosen.randint(1, 4)):
            within = min(len(data), HEAD_BYTES) if chosen.random() < 0.5 else len(data)
            if within:
                chosen.choice(FAULTS)(data, chosen.randrange(within), chosen)
        yield bytes(data)


def with_ogg_checksums(data: bytes) -> bytes:
    """Make the checksums of all pages of an Ogg file right, or else no reader looks into a page."""
    mended = bytearray(data)
    start = data.find(b"OggS")
    while start >= 0:
        end = data.find(b"OggS", start + 4)
        page = mended[start : end if end >= 0 else len(data)]
        if len(page) >= OGG_HEAD_BYTES:
            page[22:26] = bytes(4)
            mended[start + 22 : start + 26] = ogg_checksum(bytes(page)).to_bytes(4, "little")
        start = end
    return bytes(mended)
