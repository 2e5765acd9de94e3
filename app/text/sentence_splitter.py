"""Splits a response into chunks for synthesis while it is being written. Pure."""

from app.text.boundaries import Boundary, continues_sentence
from app.text.boundary_rules import BoundaryRules
from app.text.chunk_policy import (
    FIRST_CHARS,
    MAX_CHARS,
    MIN_CHARS,
    MIN_REMAINDER_CHARS,
    ChunkPolicy,
)
from app.text.word_reader import WordReader

__all__ = ["FIRST_CHARS", "MAX_CHARS", "MIN_CHARS", "MIN_REMAINDER_CHARS", "SentenceSplitter"]

_LINE_BREAKS = "\n\u2028\u2029"


class SentenceSplitter:
    """Returns a chunk as soon as its end is certain.

    A chunk is one sentence, several short ones, or a clause. `WordReader` makes words of the
    characters, `BoundaryRules` say what ends with a word, and `ChunkPolicy` whether the chunk does.
    Characters are processed one by one, each once, or again in what a cut leaves over: the chunks
    do not depend on how the text is divided into pieces.
    """

    def __init__(
        self,
        *,
        first_chars: int = FIRST_CHARS,
        min_chars: int = MIN_CHARS,
        max_chars: int = MAX_CHARS,
    ) -> None:
        """Set the lengths of chunks in characters; `first_chars` 0: only whole sentences."""
        self._first_chars = first_chars
        self._min_chars = min_chars
        self._max_chars = max_chars
        self._begin_response()

    def feed(self, piece: str) -> list[str]:
        """Take the next piece of text; return the chunks that it completes."""
        chunks: list[str] = []
        self._feed_chars(piece, chunks)
        return chunks

    def flush(self) -> list[str]:
        """Return the remaining chunks at the end of a response, and start over."""
        chunks = self.feed("\n")
        if self._words.chars:
            chunks.append("".join(self._words.chars).strip())
        self._begin_response()
        return chunks

    def _begin_response(self) -> None:
        self._words = WordReader()
        self._rules = BoundaryRules()
        self._policy = ChunkPolicy(
            first_chars=self._first_chars, min_chars=self._min_chars, max_chars=self._max_chars
        )

    def _feed_chars(self, text: str, chunks: list[str]) -> None:
        """Process characters. This is the hot path: a character within a word costs one call."""
        words, policy = self._words, self._policy
        add = words.add
        for char in text:
            if words.ends_with_mark and words.misses_space_before(char):
                end = self._end_word()
                if end is not None:
                    self._cut(end, chunks)
            if char.isspace():
                end = self._add_space(char)
            else:
                length = add(char)
                end = self._end_within_word() if length > policy.next_decision else None
            if end is not None:
                self._cut(end, chunks)

    def _cut(self, end: int, chunks: list[str]) -> None:
        """Complete the chunk, and process what is left of its text; that is shorter each time."""
        chunk, rest = "".join(self._words.chars[:end]), "".join(self._words.chars[end:])
        chunks.append(chunk.rstrip())
        self._words.clear()
        self._rules.begin_chunk()
        self._policy.begin_chunk()
        self._feed_chars(rest, chunks)

    def _add_space(self, char: str) -> int | None:
        """Add white space, which ends a word; return the end of the chunk if that is certain now.

        A line break ends a sentence, white space at the beginning of a chunk is dropped, and a
        chunk that has become too long ends before it.
        """
        words, breaks_line = self._words, char in _LINE_BREAKS
        if not words.chars:
            if breaks_line:
                self._rules.begin_line()
            return None
        end = self._end_word() if words.word_end is None else None
        if end is None and breaks_line:
            end = self._end_line()
        words.add_space(char)
        if end is None and len(words.chars) > self._policy.max_chars:
            return words.word_end
        return end

    def _end_word(self) -> int | None:
        """End the word; return the end of the chunk if that is certain now."""
        words, policy = self._words, self._policy
        word = words.end_word()
        if policy.ambiguous_end is not None:
            end = policy.on_next_word(continues=continues_sentence(word, complete=True))
            if end is not None:
                return end
        boundary = self._rules.after(word)
        if boundary is Boundary.NONE:
            return None
        return policy.on_boundary(
            boundary,
            len(words.chars),
            in_brackets=words.is_in_brackets(),
            has_words=words.has_words,
        )

    def _end_line(self) -> int | None:
        """End the sentence at a line break, though a bracket be open; return as `_end_word`."""
        words = self._words
        words.close_brackets()
        self._rules.end_line()
        return self._policy.on_line_break(words.word_end or 0, has_words=words.has_words)

    def _end_within_word(self) -> int | None:
        """Return the end of the chunk if the word that is being written makes it certain."""
        words, policy = self._words, self._policy
        end = None
        if policy.ambiguous_end is not None:
            end = policy.on_next_word(continues=continues_sentence(words.word, complete=False))
        if end is None and len(words.chars) > policy.clause_due:
            end = policy.cut_at_clause("".join(words.chars[policy.clause_end :]))
        if end is None and len(words.chars) > policy.max_chars:
            end = words.word_start or policy.max_chars
        return end
