"""WAVE files with every header that we have seen or can think of."""

import struct
from collections.abc import Iterator

import numpy as np

_GUID_TAIL = bytes.fromhex("0000 0000 1000 8000 00aa 0038 9b71")

SHORTS = (np.sin(np.arange(1600) * 0.1) * 8000).astype("<i2")
PCM = SHORTS.tobytes()


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """Write a chunk, padded; `size` is a lie about it."""
    declared = len(body) if size is None else size
    return name + struct.pack("<I", declared) + body + b"\0" * (len(body) % 2)


def fmt(
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = 16_000,
    bits: int = 16,
    align: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """Write a format chunk."""
    align = channels * ((bits + 7) // 8) if align is None else align
    head = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align, align, bits)
    return chunk(b"fmt ", head + extra)


def extensible(
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = 16_000,
    bits: int = 16,
    *,
    speakers: int = 4,
    valid_bits: int | None = None,
) -> bytes:
    """Write a format chunk of WAVE_FORMAT_EXTENSIBLE."""
    valid = bits if valid_bits is None else valid_bits
    extra = struct.pack("<HHIH", 22, valid, speakers, tag) + _GUID_TAIL
    return fmt(0xFFFE, channels, rate_hz, bits, extra=extra)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    """Write a file."""
    body = b"".join(chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body) if size is None else size) + b"WAVE" + body


def rf64(data_bytes: int, *chunks: bytes) -> bytes:
    """Write a file whose true sizes stand in its first chunk."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, data_bytes, 0, 0))
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + b"".join(chunks)


def widened(width: int) -> bytes:
    """Write the samples with more bytes each; the lower ones hold something."""
    octets = np.full((len(SHORTS), width), 0xA5, np.uint8)
    octets[:, -2:] = np.frombuffer(PCM, np.uint8).reshape(-1, 2)
    return octets.tobytes()


def channels_of(count: int) -> bytes:
    """Write the samples once in each channel, each later and softer than the one before."""
    each = [np.roll(SHORTS, 7 * index) // (index + 1) for index in range(count)]
    return np.stack(each, axis=1).astype("<i2").tobytes()


DATA = chunk(b"data", PCM)
FLOATS = SHORTS.astype("<f8") / 32_768
HUGE = np.array([1e300, -1e300, 0.25, np.nan], "<f8")
SPOILT = np.array([np.nan, np.inf, -np.inf, 2, -2, 1, -1, 0.5, 1e-9], "<f4")
CODES = bytes(range(256))
LIST = chunk(b"LIST", b"INFOISFT\x06\0\0\0Lavf5\0")

ODD_HEADERS: dict[str, bytes] = {
    "plain": riff(fmt(), DATA),
    "LIST before": riff(LIST, fmt(), LIST, DATA),
    "LIST behind": riff(fmt(), DATA, LIST),
    "LIST of odd length": riff(fmt(), chunk(b"LIST", b"INFOx"), DATA),
    "many small chunks": riff(*[chunk(b"JUNK", b"abc")] * 500, fmt(), DATA),
    "data before fmt": riff(DATA, fmt()),
    "two formats": riff(fmt(), fmt(rate_hz=8000), DATA),
    "two of data": riff(fmt(), chunk(b"data", PCM[:800]), LIST, chunk(b"data", PCM[800:])),
    "size 0": riff(fmt(), b"data\0\0\0\0", PCM),
    "size 0, LIST behind": riff(fmt(), b"data\0\0\0\0", PCM, LIST),
    "size unknown": riff(fmt(), b"data\xff\xff\xff\xff", PCM, size=0xFFFFFFFF),
    "size beyond the file": riff(fmt(), chunk(b"data", PCM, 1 << 20)),
    "size beyond 2 GiB": riff(fmt(), chunk(b"data", PCM, 0x80000000)),
    "size just below unknown": riff(fmt(), chunk(b"data", PCM, 0xFFFFFFFE)),
    "RIFF size 0": riff(fmt(), DATA, size=0),
    "RIFF size too small": riff(fmt(), DATA, size=40),
    "half a sample": riff(fmt(), chunk(b"data", PCM[:-1])),
    "cut off": riff(fmt(), DATA)[:-333],
    "format of 18 bytes": riff(fmt(extra=b"\0\0"), DATA),
    "format of 40 bytes": riff(fmt(extra=b"\x16\0" + b"x" * 22), DATA),
    "format without bits": riff(
        chunk(b"fmt ", struct.pack("<HHIIH", 1, 1, 16_000, 16_000, 1)), chunk(b"data", CODES)
    ),
    "no block align": riff(fmt(align=0), DATA),
    "wrong block align": riff(fmt(align=4), DATA),
    "12 bits": riff(fmt(bits=12), DATA),
    "8 bits": riff(fmt(bits=8), chunk(b"data", CODES)),
    "4 bits": riff(fmt(bits=4), chunk(b"data", CODES)),
    "24 bits": riff(fmt(bits=24), chunk(b"data", widened(3))),
    "20 bits": riff(fmt(bits=20), chunk(b"data", widened(3))),
    "32 bits": riff(fmt(bits=32), chunk(b"data", widened(4))),
    "float": riff(fmt(3, bits=32), chunk(b"data", FLOATS.astype("<f4").tobytes())),
    "float of 64 bits": riff(fmt(3, bits=64), chunk(b"data", FLOATS.tobytes())),
    "float, out of bounds": riff(fmt(3, bits=32), chunk(b"data", SPOILT.tobytes())),
    "float of 64 bits, out of bounds": riff(fmt(3, bits=64), chunk(b"data", HUGE.tobytes())),
    "mu-law": riff(fmt(7, bits=8), chunk(b"data", CODES)),
    "mu-law of 16 bits": riff(fmt(7, align=1), chunk(b"data", CODES)),
    "A-law": riff(fmt(6, bits=8), chunk(b"data", CODES)),
    "extensible": riff(extensible(), DATA),
    "extensible, bits not said": riff(extensible(valid_bits=0), DATA),
    "extensible, 24 bits": riff(extensible(bits=24), chunk(b"data", widened(3))),
    "extensible, 20 of 24 bits": riff(
        extensible(bits=24, valid_bits=20), chunk(b"data", widened(3))
    ),
    "extensible float": riff(
        extensible(3, bits=32), chunk(b"data", FLOATS.astype("<f4").tobytes())
    ),
    "extensible mu-law": riff(extensible(7, bits=8), chunk(b"data", CODES)),
    "RF64": rf64(len(PCM), fmt(), chunk(b"data", PCM, 0xFFFFFFFF)),
    "RF64, part of the data": rf64(1000, fmt(), chunk(b"data", PCM, 0xFFFFFFFF)),
    "RF64, beyond the file": rf64(1 << 62, fmt(), DATA),
    **{
        f"{count} channels": riff(fmt(channels=count), chunk(b"data", channels_of(count)))
        for count in range(2, 9)
    },
    **{
        f"speakers {speakers:#x}": riff(
            extensible(channels=speakers.bit_count(), speakers=speakers),
            chunk(b"data", channels_of(speakers.bit_count())),
        )
        for speakers in (0x3, 0xB, 0x33, 0x3F, 0x60F, 0x63F, 0x70F)
    },
    "speakers that are too many": riff(
        extensible(channels=2, speakers=0xFFFFFFFF), chunk(b"data", channels_of(2))
    ),
    "stereo, float": riff(
        fmt(3, channels=2, bits=32),
        chunk(b"data", np.stack([FLOATS, FLOATS / -3], axis=1).astype("<f4").tobytes()),
    ),
    "stereo, 24 bits": riff(
        fmt(channels=2, bits=24),
        chunk(b"data", np.repeat(np.frombuffer(widened(3), "V3"), 2).tobytes()),
    ),
}
"""All of them at 16 kHz, so that samples can be compared one by one."""


UNUSABLE: dict[str, bytes] = {
    "nothing but the name": riff(),
    "no format": riff(DATA),
    "no data": riff(fmt()),
    "format of 12 bytes": riff(chunk(b"fmt ", fmt()[8:20]), DATA),
    "format cut off": riff(fmt()[:20]),
    "a chunk that reaches beyond": riff(fmt(), chunk(b"JUNK", b"abcd", 1 << 20), DATA),
    "an odd chunk without its padding": riff(fmt(), b"JUNK\x03\0\0\0abc", DATA),
    "no channel": riff(fmt(channels=0), DATA),
    "17 channels": riff(fmt(channels=17), DATA),
    "65535 channels": riff(fmt(channels=65_535, align=2), DATA),
    "1 Hz": riff(fmt(rate_hz=1), DATA),
    "0 Hz": riff(fmt(rate_hz=0), DATA),
    "2 GHz": riff(fmt(rate_hz=0x7FFFFFFF), DATA),
    "no bits": riff(fmt(bits=0, align=2), DATA),
    "64 bits": riff(fmt(bits=64), DATA),
    "float of 16 bits": riff(fmt(3, bits=16), DATA),
    "RF64 without sizes": b"RF64\xff\xff\xff\xffWAVE" + fmt() + DATA,
    "RF64 with too few": b"RF64\xff\xff\xff\xffWAVE" + chunk(b"ds64", bytes(16)) + fmt() + DATA,
}


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """Give files with a few bytes changed, or cut off, near their beginning."""
    random = np.random.default_rng(seed)
    files = list(ODD_HEADERS.values())
    for _ in range(count):
        data = bytearray(files[random.integers(len(files))])
        for _ in range(random.integers(1, 4)):
            data[random.integers(8, min(80, len(data)))] = random.integers(256)
        yield bytes(data[: random.integers(20, len(data))] if random.random() < 0.2 else data)
