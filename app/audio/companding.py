"""G.711 mu-law: 14 bits of loudness in 8, as telephones speak."""

from array import array

_BIAS = 132  # ITU-T G.711 in 16-bit terms: 33 << 2, makes every segment a power of two
_CLIP = 32_635  # the largest magnitude that the bias leaves room for: 32767 - 132


def _decode_table() -> "array[int]":
    table = array("h")
    for code in range(256):
        bits = ~code & 0xFF
        exponent, mantissa = bits >> 4 & 0x07, bits & 0x0F
        magnitude = ((mantissa << 3) + _BIAS << exponent) - _BIAS
        table.append(-magnitude if bits & 0x80 else magnitude)
    return table


def _encode(sample: int) -> int:
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = magnitude >> exponent + 3 & 0x0F
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | mantissa) & 0xFF


_LOW_BYTES, _HIGH_BYTES = (
    bytes(sample >> shift & 0xFF for sample in _decode_table()) for shift in (0, 8)
)
# Indexed by the sample's 16 bits read as unsigned, so that the negative half comes second.
_ENCODED = bytes(_encode(n) for n in (*range(32_768), *range(-32_768, 0)))


def decode_mulaw(data: bytes) -> bytes:
    """Expand mu-law to PCM16 at the same rate."""
    pcm = bytearray(2 * len(data))
    pcm[0::2], pcm[1::2] = data.translate(_LOW_BYTES), data.translate(_HIGH_BYTES)
    return bytes(pcm)


def encode_mulaw(pcm: bytes) -> bytes:
    """Compress PCM16 to mu-law at the same rate.

    Raises `ValueError` when `pcm` is not sample-aligned.
    """
    return bytes(map(_ENCODED.__getitem__, array("H", pcm)))
