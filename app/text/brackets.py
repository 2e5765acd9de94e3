"""Brackets and quotation marks: which ones there are, and whether one is open."""

OPENERS = "«‹([{﴿"
CLOSERS = "»›)]}﴾"
QUOTES = '"“”'
"""Quotation marks that open and close alike: writers of Arabic use the curly ones either way."""

MAX_OPEN_CHARS = 200
"""Longest text inside: an opening mark that is not closed by then opens nothing any more."""


class Brackets:
    """Tracks whether a bracket or a quotation is open."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._opened_at = 0

    def feed(self, char: str, at: int, *, begins_word: bool) -> None:
        """Take the next bracket or quotation mark; `at` is its place in the text.

        A quotation mark that does not begin a word closes a quotation; where none is open, it is an
        apostrophe or stands for inches.
        """
        was_open = self.is_open(at)
        if not was_open:
            self._depth, self._quoted = 0, False
        if char in OPENERS:
            self._depth += 1
        elif char in CLOSERS:
            self._depth = max(0, self._depth - 1)
        else:
            self._quoted = begins_word and not self._quoted
        if not was_open:
            self._opened_at = at

    def is_open(self, at: int) -> bool:
        """Return whether a bracket or a quotation is open at this place."""
        return (self._depth > 0 or self._quoted) and at - self._opened_at <= MAX_OPEN_CHARS
