"""Whether audio is long enough for its text, or far too long.

Both are judged by the text, not by a number of bytes.
"""

MIN_MS_PER_CHAR = 40.0
"""Shortest audio for each speakable character; less means that the audio is truncated.

Hamsa speaks about 10 characters a second, 100 ms each; its fastest measured stream took 81 ms
(`docs/hamsa.md`, Speech rate). Half of that leaves room for faster voices, and still detects the
640-byte failure (20 ms) for a single letter.
"""

MAX_MS_PER_CHAR = 1000.0
"""Longest audio for each speakable character, ten times what was measured: a digit may be read out
as several words."""

MAX_EXTRA_MS = 10_000.0
"""Silence, and noises that no character stands for, that audio of any text may have in addition."""


def min_expected_duration_ms(chars: int) -> float:
    """Return the shortest duration, in milliseconds, at which audio of a text is complete.

    `chars` is the number of its speakable characters.
    """
    return MIN_MS_PER_CHAR * chars


def max_expected_duration_ms(chars: int, max_ms_per_char: float = MAX_MS_PER_CHAR) -> float:
    """Return the duration, in milliseconds, that audio of so many characters can never exceed."""
    return max_ms_per_char * chars + MAX_EXTRA_MS
