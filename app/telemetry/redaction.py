"""What a log line may hold of texts that come from outside: no credential, no control characters.

A provider may quote the key that it refuses, an agent may answer with a terminal's escape codes.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

MAX_VALUE_CHARS = 500
"""Longest value of a log line; the reason of a refusal has 200."""

MASK = "***"

MIN_SECRET_CHARS = 6
"""Shorter values are not masked: they would be found inside ordinary words."""

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u200d\u2010-\u2027\u202f-\u2065\u206a-\U0010ffff]")
"""Control characters, and those that turn the direction of what follows."""

_UNPRINTABLE_IN_TRACEBACK = re.compile(_UNPRINTABLE.pattern.replace("[^", "[^\n", 1))


class Redactor:
    """Masks secrets by their value, and makes texts fit for a line."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({each for each in secrets if len(each) >= MIN_SECRET_CHARS}, key=len)
        self._secrets = re.compile("|".join(map(re.escape, reversed(known)))) if known else None

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        """Clean the values of a log line, as a structlog processor."""
        for name, value in event.items():
            if name == "exception":
                event[name] = self.traceback(str(value))
            elif isinstance(value, str):
                event[name] = self.value(value)
            elif isinstance(value, list | tuple):
                event[name] = [
                    self.value(each) if isinstance(each, str) else each for each in value
                ]
        return event

    def value(self, text: str) -> str:
        """Return a text without secrets and control characters, and of bounded length."""
        if text.isascii() and text.isprintable() and len(text) <= MAX_VALUE_CHARS:
            return self.mask(text)
        text = _UNPRINTABLE.sub(_escaped, self.mask(text[: 2 * MAX_VALUE_CHARS]))
        return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "…"

    def traceback(self, text: str) -> str:
        """Return a traceback without secrets, and with no control characters but line breaks."""
        return _UNPRINTABLE_IN_TRACEBACK.sub(_escaped, self.mask(text))

    def mask(self, text: str) -> str:
        """Replace each secret in a text."""
        return text if self._secrets is None else self._secrets.sub(MASK, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
