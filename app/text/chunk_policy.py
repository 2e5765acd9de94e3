"""Where a chunk ends: by the boundaries in it, and by its length. Pure."""

import sys

from app.text.boundaries import Boundary
from app.text.list_markers import item_number

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

_NEVER = sys.maxsize


class ChunkPolicy:
    """Decides where each chunk of one response ends. Places are counted from its beginning.

    The first chunk of a response may be a clause, so that speech begins early; the rest of that
    sentence may be as short, so that its audio is ready when the clause has been played.
    """

    def __init__(self, *, first_chars: int, min_chars: int, max_chars: int) -> None:
        """Set the lengths of chunks in characters; `first_chars` 0: only whole sentences."""
        self.max_chars = max_chars
        self._first_chars = first_chars
        self._min_chars = min_chars
        self._long_chars = min(LONG_CHARS, max_chars)
        self._is_first = True
        self._begin(first_chars or min_chars)

    def begin_chunk(self) -> None:
        """Begin the next chunk; the one before it ends where this policy said.

        The rest of a sentence may be shorter: joined to the next sentence it would come too late.
        """
        required_chars = self._min_chars
        if self._is_first and self._is_cut_at_clause:
            required_chars = min(self._first_chars, self._min_chars)
        self._is_first = False
        self._begin(required_chars)

    def _begin(self, required_chars: int) -> None:
        self._required_chars = required_chars
        """Length from which whole sentences make a chunk."""
        self.ambiguous_end: int | None = None
        """A boundary on which the next word decides."""
        self.clause_end: int | None = None
        """Where the chunk is cut if its sentence does not end soon."""
        self.clause_due = _NEVER
        """Length beyond which the chunk is cut there."""
        self.next_decision = self.max_chars
        """Length beyond which each character of a word may decide on the end of the chunk."""
        self._clause_rank = 0
        """1 for a clause; 0 for a boundary inside brackets."""
        self._short_sentence_end = 0
        """End of the last whole sentence that was too short for a chunk."""
        self._is_cut_at_clause = False

    def on_boundary(
        self, boundary: Boundary, at: int, *, in_brackets: bool, has_words: bool
    ) -> int | None:
        """Return the end of the chunk, now that a word ended at `at`; None if it goes on.

        Inside brackets nothing ends a chunk, and what is too short waits for the next sentence.
        """
        is_long_enough = has_words and at >= self._required_chars
        is_clause = boundary in (Boundary.CLAUSE, Boundary.SEMICOLON)
        if is_long_enough and (in_brackets or is_clause):
            self._note_clause(at, rank=0 if in_brackets else 1)
        if in_brackets or boundary is Boundary.CLAUSE:
            return None
        if not is_long_enough:
            self._short_sentence_end = at
            return None
        if boundary is Boundary.AMBIGUOUS:
            self.ambiguous_end = at
            self._schedule()
            return None
        return None if boundary is Boundary.SEMICOLON and at < self._min_chars else at

    def on_next_word(self, *, continues: bool | None) -> int | None:
        """Return the ambiguous boundary if the word after it shows that it ends the sentence.

        `continues` says whether that word continues the sentence; None if it does not show yet.
        """
        if continues is None:
            return None
        end, self.ambiguous_end = self.ambiguous_end, None
        self._schedule()
        return None if continues else end

    def on_line_break(self, at: int, *, has_words: bool) -> int | None:
        """Return the end of the chunk at a line break, though a boundary be ambiguous.

        `at` is the end of the last word.
        """
        self.ambiguous_end = None
        self._schedule()
        return at if has_words and at >= self._required_chars else None

    def cut_at_clause(self, remainder: str) -> int | None:
        """Return the noted clause boundary, once the chunk is longer than `clause_due`.

        `remainder` is what was written after it. No cut leaves too little, nor a number that looks
        like a list marker, as in «هو: 3. …»: at the beginning of a chunk it would be taken for one.
        """
        remainder = remainder.strip()
        if len(remainder) < MIN_REMAINDER_CHARS:
            return None
        if item_number(remainder.split(maxsplit=1)[0]) is not None:
            self.clause_end, self.clause_due = None, _NEVER
            self._schedule()
        self._is_cut_at_clause = self.clause_end is not None
        return self.clause_end

    def _schedule(self) -> None:
        """Set `next_decision`, after a change of what it depends on."""
        is_ambiguous = self.ambiguous_end is not None
        self.next_decision = 0 if is_ambiguous else min(self.clause_due, self.max_chars)

    def _note_clause(self, at: int, *, rank: int) -> None:
        """Note a clause boundary as a place to cut.

        Of equal rank the first one is kept in the first chunk, which is to be early, and once the
        chunk is long; otherwise the last one. A cut that would leave little more than whole
        sentences, as in «… العنوان. ثانياً:», is not noted: so few words are not spoken well.
        """
        is_early = self._is_first and self._first_chars > 0
        if not (is_early or at >= self._min_chars):
            return
        sentence_end = self._short_sentence_end
        if is_early and sentence_end and at - sentence_end <= MIN_REMAINDER_CHARS:
            return
        keeps_first = is_early or at > self._long_chars
        if (
            self.clause_end is None
            or rank > self._clause_rank
            or (rank == self._clause_rank and not keeps_first)
        ):
            self.clause_end, self._clause_rank = at, rank
            due = at + MIN_REMAINDER_CHARS
            self.clause_due = due if is_early and rank else max(due, self._long_chars)
            self._schedule()
