"""What an answer is worth, judged against its text and not by a byte count: pure decisions."""

from app.text.speakable import speakable_chars

MIN_MS_PER_CHAR = 40.0
"""Less audio than this for each spoken character is no speech.

Hamsa speaks about 10 characters a second (100 ms each); its fastest measured answer took 81 ms.
Half of that leaves room for fast voices, and a 640-byte answer (20 ms) fails for a single letter.
"""


def min_expected_duration_ms(text: str) -> float:
    """Return the least audio, in milliseconds, that may pass for this text spoken whole."""
    return MIN_MS_PER_CHAR * speakable_chars(text)
