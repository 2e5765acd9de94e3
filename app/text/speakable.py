"""Which characters of a text are pronounced. Pure."""

import unicodedata

TATWEEL = "\u0640"
"""The Arabic lengthening stroke: a letter by its Unicode category, but not pronounced."""


def speakable_chars(text: str) -> int:
    """Count the pronounced characters: letters, digits, and one space between words."""
    words = ("".join(filter(_is_speakable_char, word)) for word in text.split())
    return len(" ".join(word for word in words if word))


def is_speakable(text: str) -> bool:
    """Return whether a text has any pronounced character."""
    return any(_is_speakable_char(char) for char in text)


def _is_speakable_char(char: str) -> bool:
    return char != TATWEEL and unicodedata.category(char)[0] in "LN"
