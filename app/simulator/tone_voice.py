"""ToneVoice: speech without words, for machines without espeak-ng. Its setting is `hum`.

The audio is a pure function of the text. Every 20 ms of it occur nowhere else, neither in another
text nor elsewhere in the same one, so that a test can tell which part of which sentence it got,
and whether anything was lost or repeated.
"""

import math
from functools import lru_cache
from hashlib import shake_128

_SAMPLE_RATE_HZ = 16_000
_SAMPLES_PER_CHARACTER = 1_600  # 100 ms: the provider speaks about ten characters a second
_AMPLITUDE = 60  # of 127 in the high byte: -6 dBFS
_LOWEST_HZ = 110
_PITCHES = 24  # quarter tones from 110 Hz to 214 Hz, the range of a man's voice
_TATWEEL = "\u0640"  # stretches a word in writing, not in speech


def speakable_characters(text: str) -> str:
    """Return the letters and digits; diacritics, punctuation and blanks make no sound."""
    return "".join(char for char in text if char.isalnum() and char != _TATWEEL)


@lru_cache(maxsize=_PITCHES)
def _syllable(pitch: int) -> bytes:
    """Return the high bytes of one syllable's samples: a tone that swells and fades."""
    step = 2 * math.pi * _LOWEST_HZ * 2 ** (pitch / 24) / _SAMPLE_RATE_HZ
    return bytes(
        int(
            _AMPLITUDE
            * math.sin(step * i)
            * (0.2 + 0.8 * math.sin(math.pi * i / _SAMPLES_PER_CHARACTER))
        )
        & 0xFF
        for i in range(_SAMPLES_PER_CHARACTER)
    )


class ToneVoice:
    """Turn each speakable character into a tone of 100 ms: 3,200 bytes of PCM16 at 16 kHz."""

    name = "hum"

    def synthesize(self, text: str) -> bytes:
        """Return PCM16 at 16 kHz; takes a few milliseconds a sentence.

        The high bytes are the tone. The low bytes are noise made from the text, 48 dB below, which
        sounds like breath and makes every frame unique.
        """
        characters = speakable_characters(text)
        samples = len(characters) * _SAMPLES_PER_CHARACTER
        audio = bytearray(2 * samples)
        audio[0::2] = shake_128(text.encode()).digest(samples)
        audio[1::2] = b"".join(_syllable(ord(char) % _PITCHES) for char in characters)
        return bytes(audio)
