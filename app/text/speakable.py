"""Which characters of a text are pronounced. Pure."""

import re

TATWEEL = "\u0640"
"""The Arabic lengthening stroke: a letter by its Unicode category, but not pronounced."""

_PRONOUNCED = re.compile(rf"[^\W_{TATWEEL}]")
_SILENT = re.compile(rf"[^\w\s]|[_{TATWEEL}]")


def speakable_chars(text: str) -> int:
    """Count the pronounced characters: letters, digits, and one space between words."""
    return len(" ".join(_SILENT.sub("", text).split()))


def is_speakable(text: str) -> bool:
    """Return whether a text has any pronounced character."""
    return _PRONOUNCED.search(text) is not None
