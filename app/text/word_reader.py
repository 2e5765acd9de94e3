"""Words of a text that is written character by character. Pure."""

from app.text.boundaries import MAX_UNSPACED_CHARS, UNSPACED_MARKS, missing_space
from app.text.brackets import CLOSERS, OPENERS, QUOTES, Brackets

BRACKETS = frozenset(OPENERS + CLOSERS + QUOTES)


class WordReader:
    """Keeps the characters of one chunk, its words, and whether a bracket is open in it."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a chunk."""
        self.chars: list[str] = []
        self.has_words = False
        self.ends_with_mark = False
        """Whether there is any letter or digit."""
        self.word_start = 0
        self.word_end: int | None = None
        """End of the last word; None while it is being written."""
        self._brackets = Brackets()

    @property
    def word(self) -> str:
        """The last word, as far as it has been written."""
        return "".join(self.chars[self.word_start : self.word_end])

    def add(self, char: str) -> int:
        """Add a character of a word; return the length of the chunk.

        This is the hot path, called for every character.
        """
        chars = self.chars
        at = len(chars)
        if self.word_end is not None or not at:
            self.word_start = at
            self.word_end = None
        chars.append(char)
        if char.isalnum():
            self.has_words = True
            self.ends_with_mark = False
            return at + 1
        self.ends_with_mark = char in UNSPACED_MARKS
        if char in BRACKETS:
            begins_word = at == self.word_start or not chars[at - 1].isalnum()
            self._brackets.feed(char, at, begins_word=begins_word)
        return at + 1

    def add_space(self, char: str) -> None:
        """Add white space after a word that has ended."""
        self.chars.append(char)
        self.ends_with_mark = False

    def end_word(self) -> str:
        """End the word that is being written, and return it."""
        self.word_end = len(self.chars)
        return "".join(self.chars[self.word_start :])

    def misses_space_before(self, char: str) -> bool:
        """Return whether `char` begins a word for which the writer forgot the space."""
        if self.word_end is not None or len(self.chars) - self.word_start > MAX_UNSPACED_CHARS:
            return False
        return missing_space(self.word, char)

    def is_in_brackets(self) -> bool:
        """Return whether a bracket or a quotation is open after the last word."""
        return self._brackets.is_open(len(self.chars))

    def close_brackets(self) -> None:
        """Forget all brackets that are open."""
        self._brackets = Brackets()
