"""Which characters of a text are pronounced. Pure."""

TATWEEL = "\u0640"
"""The Arabic lengthening stroke: a letter by its Unicode category, but not pronounced."""


def speakable_chars(text: str) -> int:
    """Count the pronounced characters: letters, digits, and one space between words."""
    words = ("".join(filter(str.isalnum, word)) for word in _without_tatweel(text).split())
    return len(" ".join(word for word in words if word))


def is_speakable(text: str) -> bool:
    """Return whether a text has any pronounced character."""
    return any(map(str.isalnum, _without_tatweel(text)))


def _without_tatweel(text: str) -> str:
    return text.replace(TATWEEL, "")
