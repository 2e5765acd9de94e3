"""Whether audio is long enough for its text. It is judged by the text, not by a number of bytes."""

from app.text.speakable import speakable_chars

MIN_MS_PER_CHAR = 40.0
"""Shortest audio for each speakable character; less means that the audio is truncated.

Hamsa speaks about 10 characters a second, 100 ms each; its fastest measured stream took 81 ms
(`docs/hamsa.md`, Speech rate). Half of that leaves room for faster voices, and still detects the
640-byte failure (20 ms) for a single letter.
"""


def min_expected_duration_ms(text: str) -> float:
    """Return the shortest duration, in milliseconds, at which audio of this text is complete."""
    return MIN_MS_PER_CHAR * speakable_chars(text)
