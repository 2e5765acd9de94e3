"""Splits a response into chunks for synthesis while it is being written. Pure."""

from app.text.boundaries import (
    MAX_UNSPACED_CHARS,
    UNSPACED_MARKS,
    Boundary,
    boundary_after,
    continues_sentence,
    missing_space,
)
from app.text.brackets import CLOSERS, OPENERS, QUOTES, Brackets
from app.text.list_markers import ListMarkers, item_number

MIN_CHARS = 50
"""Shortest chunk; a shorter sentence is joined to the next (field reports)."""

FIRST_CHARS = 25
"""Shortest first chunk: some 2 s of speech, in which the next chunk is synthesized."""

MIN_REMAINDER_CHARS = 10
"""Shortest rest of a sentence that is cut at a clause: two words. The cut waits for them, so no
more: at the pace of the measured agent 15 cost 0.36 s."""

LONG_CHARS = 200
"""Longest sentence that is not cut at a clause."""

MAX_CHARS = 2000
"""Longest text of one synthesis request (`docs/hamsa.md`)."""


class SentenceSplitter:
    """Returns a chunk as soon as its end is certain.

    A chunk is one sentence, or several short ones. The first chunk of a response may be a clause,
    so that speech begins early; the rest of that sentence may be as short, so that its audio is
    ready when the clause has been played. Characters are processed one by one, each once, or again
    in what a cut leaves over: the chunks do not depend on how the text is divided into pieces.
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
        self._long_chars = min(LONG_CHARS, max_chars)
        self._reset()

    def feed(self, piece: str) -> list[str]:
        """Take the next piece of text; return the chunks that it completes."""
        chunks: list[str] = []
        self._feed_chars(piece, chunks)
        return chunks

    def flush(self) -> list[str]:
        """Return the remaining chunks at the end of a response, and start over."""
        chunks = self.feed("\n")
        if self._chars:
            chunks.append("".join(self._chars).strip())
        self._reset()
        return chunks

    def _reset(self) -> None:
        """Start a response."""
        self._is_first = True
        self._continues_sentence = False
        """Whether the chunk continues a sentence whose first clause was the first chunk."""
        self._starts_line = True
        self._list_markers = ListMarkers()
        self._start_chunk()

    def _start_chunk(self) -> None:
        self._chars: list[str] = []
        self._has_words = False
        self._brackets = Brackets()
        self._word_start = 0
        self._word_end: int | None = None
        """End of the last word; None while it is being written."""
        self._previous_word = ""
        self._boundary = Boundary.NONE
        """The boundary after the last word."""
        self._ambiguous_end: int | None = None
        """A boundary on which the next word decides."""
        self._clause_end: int | None = None
        """Where the chunk is cut if its sentence does not end soon."""
        self._clause_rank = 0
        """1 for a clause; 0 for a boundary inside brackets."""
        self._short_sentence_end = 0
        """End of the last whole sentence that was too short for a chunk."""
        self._is_cut_at_clause = False

    def _feed_chars(self, text: str, chunks: list[str]) -> None:
        for char in text:
            if self._chars and self._chars[-1] in UNSPACED_MARKS and self._is_space_missing(char):
                end = self._end_word()
                if end is not None:
                    self._cut(end, chunks)
            end = self._add_space(char) if char.isspace() else self._add_char(char)
            if end is not None:
                self._cut(end, chunks)

    def _cut(self, end: int, chunks: list[str]) -> None:
        """Complete the chunk, and process what is left of its text; that is shorter each time."""
        chunk, rest = "".join(self._chars[:end]), "".join(self._chars[end:])
        chunks.append(chunk.rstrip())
        self._continues_sentence = self._is_first and self._is_cut_at_clause
        self._is_first = False
        self._starts_line = False
        self._start_chunk()
        self._feed_chars(rest, chunks)

    def _is_space_missing(self, char: str) -> bool:
        """Return whether `char` begins a word for which the writer forgot the space."""
        if self._word_end is not None or len(self._chars) - self._word_start > MAX_UNSPACED_CHARS:
            return False
        return missing_space("".join(self._chars[self._word_start :]), char)

    def _add_char(self, char: str) -> int | None:
        """Add a character of a word; return the end of the chunk if that is certain now.

        This is the hot path, called for every character: hence one function.
        """
        chars = self._chars
        if self._word_end is not None or not chars:
            self._word_start = len(chars)
            self._word_end = None
        chars.append(char)
        if char.isalnum():
            self._has_words = True
        elif char in OPENERS or char in CLOSERS or char in QUOTES:
            at = len(chars) - 1
            begins_word = at == self._word_start or not chars[at - 1].isalnum()
            self._brackets.feed(char, at, begins_word=begins_word)
        if self._ambiguous_end is not None and (end := self._resolve(complete=False)) is not None:
            return end
        if self._clause_end is not None and len(chars) - self._clause_end > MIN_REMAINDER_CHARS:
            end = self._cut_at_clause()
            if end is not None:
                return end
        if len(chars) > self._max_chars:
            return self._word_start or self._max_chars
        return None

    def _add_space(self, char: str) -> int | None:
        """Add white space, which ends a word; return the end of the chunk if that is certain now.

        A line break ends a sentence, white space at the beginning of a chunk is dropped, and a
        chunk that has become too long ends before it.
        """
        breaks_line = char in "\n\u2028\u2029"
        if not self._chars:
            self._starts_line = self._starts_line or breaks_line
            return None
        end = self._end_word() if self._word_end is None else None
        if end is None and breaks_line:
            end = self._end_line()
        self._chars.append(char)
        if end is None and len(self._chars) > self._max_chars:
            return self._word_end
        return end

    def _end_word(self) -> int | None:
        """End the word; return the end of the chunk if that is certain now."""
        self._word_end = end = len(self._chars)
        word = "".join(self._chars[self._word_start :])
        if self._ambiguous_end is not None:
            resolved = self._resolve(complete=True)
            if resolved is not None:
                return resolved
        starts_item = self._starts_line or self._previous_word.endswith(":")
        self._boundary = (
            Boundary.NONE
            if self._list_markers.is_marker(word, starts_item=starts_item)
            else boundary_after(
                word, previous=self._previous_word, previous_boundary=self._boundary
            )
        )
        self._previous_word = word
        self._starts_line = False
        return self._end_at_boundary(end)

    def _end_at_boundary(self, at: int) -> int | None:
        """Return the end of the chunk, now that a word ended at `at`; None if it goes on.

        Inside brackets nothing ends a chunk, and what is too short waits for the next sentence.
        """
        if self._boundary is Boundary.NONE:
            return None
        if self._brackets.is_open(at):
            self._note_clause(at, rank=0)
            return None
        if self._boundary in (Boundary.CLAUSE, Boundary.SEMICOLON):
            self._note_clause(at, rank=1)
        if self._boundary is Boundary.CLAUSE:
            return None
        if not self._is_long_enough(at):
            self._short_sentence_end = at
            return None
        if self._boundary is Boundary.AMBIGUOUS:
            self._ambiguous_end = at
            return None
        return None if self._boundary is Boundary.SEMICOLON and at < self._min_chars else at

    def _end_line(self) -> int | None:
        """End the sentence at a line break, though a bracket be open or a boundary ambiguous."""
        self._brackets = Brackets()
        self._ambiguous_end = None
        self._boundary = Boundary.SENTENCE
        self._starts_line = True
        return self._word_end if self._is_long_enough(self._word_end or 0) else None

    def _is_long_enough(self, length: int) -> bool:
        """Return whether whole sentences of this length make a chunk.

        The rest of a sentence may be shorter: joined to the next sentence it would come too late.
        """
        required = self._min_chars
        if self._first_chars and self._is_first:
            required = self._first_chars
        elif self._continues_sentence:
            required = min(self._first_chars, self._min_chars)
        return self._has_words and length >= required

    def _resolve(self, *, complete: bool) -> int | None:
        """Return the ambiguous boundary if the word after it shows that it ends the sentence."""
        continues = continues_sentence("".join(self._chars[self._word_start :]), complete=complete)
        if continues is None:
            return None
        end, self._ambiguous_end = self._ambiguous_end, None
        return None if continues else end

    def _note_clause(self, at: int, *, rank: int) -> None:
        """Note a clause boundary as a place to cut.

        Of equal rank the first one is kept in the first chunk, which is to be early, and once the
        chunk is long; otherwise the last one. A cut that would leave little more than whole
        sentences, as in «… العنوان. ثانياً:», is not noted: so few words are not spoken well.
        """
        is_early = self._is_first and self._first_chars > 0
        if not self._is_long_enough(at) or not (is_early or at >= self._min_chars):
            return
        sentence_end = self._short_sentence_end
        if is_early and sentence_end and at - sentence_end <= MIN_REMAINDER_CHARS:
            return
        keeps_first = is_early or at > self._long_chars
        if self._clause_end is None or rank > self._clause_rank:
            self._clause_end, self._clause_rank = at, rank
        elif rank == self._clause_rank and not keeps_first:
            self._clause_end = at

    def _cut_at_clause(self) -> int | None:
        """Return the noted clause boundary, in the first chunk or if the sentence is too long.

        Not before a number that looks like a list marker, as in «هو: 3. …»: at the beginning of a
        chunk it would be taken for one.
        """
        is_early = self._is_first and self._first_chars > 0 and self._clause_rank > 0
        if not is_early and len(self._chars) <= self._long_chars:
            return None
        rest = "".join(self._chars[self._clause_end :]).strip()
        if len(rest) < MIN_REMAINDER_CHARS:
            return None
        if item_number(rest.split(maxsplit=1)[0]) is not None:
            self._clause_end = None
        self._is_cut_at_clause = self._clause_end is not None
        return self._clause_end
