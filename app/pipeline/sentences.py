"""Cuts an answer into sentences while it is being written: pure, fed text as it comes."""

TERMINATORS = frozenset(".!?؟")
CLOSERS = frozenset("\"'»”’)]}")
"""What may follow a terminator and still belongs to its sentence."""

MIN_CHARS = 50
"""Shortest sentence spoken by itself, a shorter one is joined to the next (field reports)."""

MAX_CHARS = 2000
"""Longest text that the provider takes in one request."""

_CLAUSE_MARKS = "،؛,;:–"


class SentenceSplitter:
    """Releases a sentence as soon as its end is certain.

    An end is a line break, or a terminator before white space: the character after it decides, so
    that decimals, addresses and «؟!» stay whole. However the text is sliced into pieces, the
    sentences are the same.
    """

    def __init__(self, *, min_chars: int = MIN_CHARS, max_chars: int = MAX_CHARS) -> None:
        self._min_chars = min_chars
        self._max_chars = max_chars
        self._pending = ""
        self._scanned = 0
        """How much of `_pending` is known to hold no end."""

    def feed(self, piece: str) -> list[str]:
        """Take the next piece; return the sentences that it completes."""
        self._pending += piece
        sentences: list[str] = []
        while (end := self._next_end()) is not None:
            sentences.append(self._pending[:end].strip())
            self._pending = self._pending[end:].lstrip()
            self._scanned = 0
        return sentences

    def flush(self) -> list[str]:
        """Return what is left: the answer is over."""
        rest, self._pending, self._scanned = self._pending.strip(), "", 0
        return [rest] if rest else []

    def _next_end(self) -> int | None:
        """Return where the first sentence ends; None when that is not certain yet."""
        text = self._pending
        for at in range(self._scanned, len(text)):
            if self._ends_at(text, at) and len(text[: at + 1].strip()) >= self._min_chars:
                return at + 1
        if len(text) > self._max_chars:
            return self._cut(text)
        self._scanned = max(0, len(text) - 1)
        return None

    def _ends_at(self, text: str, at: int) -> bool:
        """Tell whether the character at `at` ends a sentence; the one after it decides."""
        if text[at] == "\n":
            return True
        if not text[at + 1 : at + 2].isspace():
            return False
        return text[at] in TERMINATORS or (text[at] in CLOSERS and text[at - 1 : at] in TERMINATORS)

    def _cut(self, text: str) -> int:
        """Return where to cut a text without end: after a clause, else between words."""
        window = text[: self._max_chars]
        clause = max(window.rfind(mark + " ") + 1 for mark in _CLAUSE_MARKS)
        word = max(window.rfind(" "), window.rfind("\n"), window.rfind("\t"))
        return next((at for at in (clause, word) if at >= self._max_chars // 2), self._max_chars)
