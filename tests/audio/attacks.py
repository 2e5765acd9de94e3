"""Recordings as an attacker would send them: small or broken, and costly to read."""

import struct
import zlib
from collections.abc import Sequence

BROKEN_OPUS = b"\x01\0"
"""A packet of Opus that says two frames of equal size, in one byte."""

SILENT_OPUS = b"\x80"
"""A packet of Opus that holds 2.5 ms of nothing."""


def box(name: bytes, *parts: bytes) -> bytes:
    """Write a box of an MP4 file."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def mp4_with_claimed_samples(samples: int = 65_000_000) -> bytes:
    """Write an MP4 of some 600 bytes whose `stsz` claims `samples` samples.

    A reader that believes it builds an index of them: gigabytes.
    """
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    header = struct.pack(">5I2H2I", 0, 0, 0, 16_000, samples, 1, 0x100, 0, 0) + matrix
    track = struct.pack(">6I", 7, 0, 0, 1, 0, samples) + bytes(16) + matrix + bytes(8)
    entry = bytes(6) + struct.pack(">H8x2H2xHI", 1, 1, 16, 0, 16_000 << 16)
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">2I", 0, 1), box(b"mp4a", entry, elementary_stream())),
        box(b"stts", struct.pack(">4I", 0, 1, samples, 1024)),
        box(b"stsc", struct.pack(">5I", 0, 1, 1, samples, 1)),
        box(b"stsz", struct.pack(">3I", 0, 1, samples)),
        box(b"stco", struct.pack(">3I", 0, 1, 0)),
    )
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">5I2H", 0, 0, 0, 16_000, samples, 0x55C4, 0)),
        box(b"hdlr", bytes(8) + b"soun" + bytes(13)),
        box(b"minf", box(b"smhd", bytes(8)), table),
    )
    movie = box(b"moov", box(b"mvhd", header, bytes(28)), box(b"trak", box(b"tkhd", track), media))
    return box(b"ftyp", b"M4A \0\0\2\0isomiso2") + movie + box(b"mdat", bytes(16))


def elementary_stream() -> bytes:
    """Describe AAC of 16 kHz, mono."""
    config = b"\x05\x02\x14\x08"  # AAC LC, frequency index 8, one channel
    decoder = b"\x04" + bytes([13 + len(config)]) + b"\x40\x15" + bytes(11) + config
    descriptor = b"\x03" + bytes([3 + len(decoder)]) + b"\0\1\0" + decoder
    return box(b"esds", bytes(4), descriptor)


def mp3_with_inflating_tag(frames: int = 600, frame_bytes: int = 16 << 20) -> bytes:
    """Write an ID3 tag of compressed frames, each a thousandth of what it inflates to."""
    private = zlib.compress(b"owner\0" + bytes(frame_bytes - 6), 9)
    frame = b"PRIV" + _syncsafe(4 + len(private)) + b"\0\x09" + _syncsafe(frame_bytes) + private
    tag = frame * frames
    return b"ID3\x04\0\0" + _syncsafe(len(tag)) + tag + b"\xff\xfb\x90\xc4" + bytes(1000)


def _syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def ogg_of(packets: Sequence[bytes], pages: int = 1) -> bytes:
    """Write Ogg with Opus: a page of these short packets, so many times over."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<II", 0, 0)
    page = _page(packets, 2)  # its number is the same each time: no reader minds
    return _page([head], 0, flags=2) + _page([tags], 1) + page * pages


def _page(packets: Sequence[bytes], number: int, *, flags: int = 0) -> bytes:
    sizes, body = bytes(map(len, packets)), b"".join(packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, 960 * number, 1, number, 0, len(sizes))
    page = head + sizes + body
    return page[:22] + struct.pack("<I", ogg_checksum(page)) + page[26:]


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return table


_CRC_TABLE = _crc_table()


def ogg_checksum(page: bytes) -> int:
    """Compute Ogg's checksum: CRC-32 of polynomial 0x04C11DB7, not reflected."""
    value = 0
    for byte in page:
        value = value << 8 & 0xFFFFFFFF ^ _CRC_TABLE[value >> 24 ^ byte]
    return value


def ogg_of_broken_packets(packets: int = 3_000_000) -> bytes:
    """Write Ogg with Opus of which no packet can be decoded; ten megabytes by default."""
    return ogg_of([BROKEN_OPUS] * 255, packets // 255)


def flac_of_tiny_blocks(blocks: int = 800_000) -> bytes:
    """Write FLAC in blocks of 16 samples at 192 kHz: each costs a decoder as much as a long one.

    Nothing in it is broken; ten megabytes by default, and 20 s of CPU.
    """
    info = struct.pack(">2H6xQ16x", 16, 16, 192_000 << 44 | 15 << 36)
    head = b"fLaC\x80" + len(info).to_bytes(3, "big") + info
    return head + b"".join(_tiny_block(number) for number in range(128)) * (blocks // 128)


def _tiny_block(number: int) -> bytes:
    head = bytes((0xFF, 0xF8, 0x63, 0x08, number, 15))
    head += bytes([_remainder(head, 0x07, 8)])
    block = head + bytes(3)  # one channel, in which all samples are 0
    return block + struct.pack(">H", _remainder(block, 0x8005, 16))


def _remainder(data: bytes, polynomial: int, bits: int) -> int:
    """Compute a CRC, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
    return value
