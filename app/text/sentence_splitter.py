"""Cuts an answer into chunks to be spoken while it is being written: pure, fed text as it comes."""

from app.text.boundaries import (
    CLOSERS,
    GLUED_CHARS,
    GLUING_MARKS,
    OPENERS,
    QUOTES,
    Boundary,
    boundary_after,
    continues,
    is_bullet,
    item_number,
    missing_space,
)

MIN_CHARS = 50
"""Shortest chunk spoken by itself, a shorter one is joined to the next (field reports)."""

FIRST_CHARS = 25
"""Shortest first chunk: some two seconds of speech, in which the next one is made."""

REST_CHARS = 10
"""What a cut at a clause leaves at least of its sentence: two words. Speech waits for them, so no
more: at the pace of the measured agent 15 took 0.36 s."""

LONG_CHARS = 200
"""Longest sentence that is left whole, and longest wait for a quotation mark to be closed."""

MAX_CHARS = 2000
"""Longest text that the provider takes in one request."""


class Brackets:
    """Knows whether a quotation or a bracket is open. One that stays open too long is not."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._opened_at = 0

    def take(self, char: str, at: int, *, begins_word: bool) -> None:
        """Take the next character that opens or closes; `at` is its place."""
        was_open = self.is_open(at)
        if not was_open:
            self._depth, self._quoted = 0, False
        if char in OPENERS:
            self._depth += 1
        elif char in CLOSERS:
            self._depth = max(0, self._depth - 1)
        else:  # inside a word it closes, or it is an inch or an apostrophe
            self._quoted = begins_word and not self._quoted
        if not was_open:
            self._opened_at = at

    def is_open(self, at: int) -> bool:
        """Tell whether something is open at this place."""
        return (self._depth > 0 or self._quoted) and at - self._opened_at <= LONG_CHARS


class SentenceSplitter:
    """Releases a chunk as soon as its end is certain.

    Chunks are sentences, joined while they are short. The first one of an answer may be a clause,
    so that speech begins early; the rest of its sentence then need not be longer either, so that
    it is there when the clause has been heard. The text is taken character by character, and each
    is looked at once, or again in what is left over by a cut: however it is sliced into pieces,
    the chunks are the same.
    """

    def __init__(
        self,
        *,
        first_chars: int = FIRST_CHARS,
        min_chars: int = MIN_CHARS,
        max_chars: int = MAX_CHARS,
    ) -> None:
        """Cut at `first_chars` characters or more the first time; 0: only at whole sentences."""
        self._first_chars = first_chars
        self._min_chars = min_chars
        self._max_chars = max_chars
        self._long_chars = min(LONG_CHARS, max_chars)
        self._is_first = True
        self._goes_on = False
        """Whether the chunk goes on with a sentence whose first clause was the first chunk."""
        self._opens_line = True
        self._item = 0
        """Number of the list item that was begun last; 0: there is no list."""
        self._begin()

    def _begin(self) -> None:
        """Begin a chunk."""
        self._chars: list[str] = []
        self._speakable = False
        self._brackets = Brackets()
        self._word_at = 0
        """Where the last word begins."""
        self._word_end: int | None = None
        """Where the last word ends; None while it is being written."""
        self._before = ""
        self._ended = Boundary.NONE
        self._doubt: int | None = None
        """A doubtful end: the next word decides."""
        self._clause: int | None = None
        """Where the chunk is cut, unless its sentence ends soon."""
        self._clause_rank = 0
        self._sentence_end = 0
        """Where the last whole sentence ends, which was too short by itself."""
        self._at_clause = False
        """Whether the chunk was cut there, within its sentence."""

    def feed(self, piece: str) -> list[str]:
        """Take the next piece; return the chunks that it completes."""
        chunks: list[str] = []
        self._take_all(piece, chunks)
        return chunks

    def flush(self) -> list[str]:
        """Return what is left: the answer is over."""
        chunks = self.feed("\n")
        if self._chars:
            chunks.append("".join(self._chars).strip())
        self._begin()
        self._is_first = self._opens_line = True
        self._goes_on = False
        self._item = 0
        return chunks

    def _take_all(self, text: str, chunks: list[str]) -> None:
        for char in text:
            if self._chars and self._chars[-1] in GLUING_MARKS and self._begins_glued_word(char):
                end = self._end_word()
                if end is not None:
                    self._cut(end, chunks)
            end = self._take_space(char) if char.isspace() else self._take(char)
            if end is not None:
                self._cut(end, chunks)

    def _cut(self, end: int, chunks: list[str]) -> None:
        chunk, rest = "".join(self._chars[:end]), "".join(self._chars[end:])
        chunks.append(chunk.rstrip())
        self._goes_on = self._is_first and self._at_clause
        self._is_first = False
        self._opens_line = False
        self._begin()
        self._take_all(rest, chunks)  # shorter each time

    def _begins_glued_word(self, char: str) -> bool:
        """Tell whether a word begins here for which the writer forgot the space."""
        if self._word_end is not None or len(self._chars) - self._word_at > GLUED_CHARS:
            return False
        return missing_space("".join(self._chars[self._word_at :]), char)

    def _take(self, char: str) -> int | None:
        """Take a character of a word; return where the chunk ends, if that is certain now."""
        chars = self._chars
        if self._word_end is not None or not chars:
            self._word_at = len(chars)
            self._word_end = None
        chars.append(char)
        if char.isalnum():
            self._speakable = True
        elif char in OPENERS or char in CLOSERS or char in QUOTES:
            at = len(chars) - 1
            begins_word = at == self._word_at or not chars[at - 1].isalnum()
            self._brackets.take(char, at, begins_word=begins_word)
        if self._doubt is not None and (end := self._resolve(whole=False)) is not None:
            return end
        if self._clause is not None and len(chars) - self._clause > REST_CHARS:
            end = self._cut_at_clause()
            if end is not None:
                return end
        if len(chars) > self._max_chars:
            return self._word_at or self._max_chars
        return None

    def _take_space(self, char: str) -> int | None:
        """Take white space, which makes ends certain; return where the chunk ends, if it does."""
        breaks_line = char in "\n\u2028\u2029"
        if not self._chars:
            self._opens_line = self._opens_line or breaks_line
            return None
        end = self._end_word() if self._word_end is None else None
        if end is None and breaks_line:
            end = self._end_line()
        self._chars.append(char)
        if end is None and len(self._chars) > self._max_chars:
            return self._word_end
        return end

    def _end_word(self) -> int | None:
        self._word_end = at = len(self._chars)
        word = "".join(self._chars[self._word_at :])
        if self._doubt is not None and (end := self._resolve(whole=True)) is not None:
            return end
        marks_item = self._marks_item(word)
        self._ended = (
            Boundary.NONE
            if marks_item
            else boundary_after(word, before=self._before, ended=self._ended)
        )
        self._before = word
        self._opens_line = False
        return self._end_at(at)

    def _end_at(self, at: int) -> int | None:
        """Return where the chunk ends, now that a word ended at `at`."""
        if self._ended is Boundary.NONE:
            return None
        if self._brackets.is_open(at):
            self._note_clause(at, rank=0)
            return None
        if self._ended in (Boundary.CLAUSE, Boundary.SEMICOLON):
            self._note_clause(at, rank=1)
        if self._ended is Boundary.CLAUSE:
            return None
        if not self._suffices(at):
            self._sentence_end = at
            return None
        if self._ended is Boundary.AMBIGUOUS:
            self._doubt = at
            return None
        return None if self._ended is Boundary.SEMICOLON and at < self._min_chars else at

    def _marks_item(self, word: str) -> bool:
        """Tell whether the word marks an item of a list, which belongs to what follows."""
        opens_item = self._opens_line or self._before.endswith(":")
        number = item_number(word)
        if number is None:
            return opens_item and is_bullet(word)
        # a list may go on in its line; after a cut the same marker is met again
        if opens_item or (self._item and number in (self._item, self._item + 1)):
            self._item = number
            return True
        return False

    def _end_line(self) -> int | None:
        """End the sentence at a line break, whatever is open or in doubt."""
        self._brackets = Brackets()
        self._doubt = None
        self._ended = Boundary.SENTENCE
        self._opens_line = True
        return self._word_end if self._suffices(self._word_end or 0) else None

    def _suffices(self, length: int) -> bool:
        """Tell whether a text of whole sentences is long enough to be spoken by itself."""
        least = self._min_chars
        if self._first_chars and self._is_first:
            least = self._first_chars
        elif self._goes_on:  # joined to the next sentence it would come after a silence
            least = min(self._first_chars, self._min_chars)
        return self._speakable and length >= least

    def _resolve(self, *, whole: bool) -> int | None:
        """Return where the doubtful end is one, if the word after it says so."""
        verdict = continues("".join(self._chars[self._word_at :]), whole=whole)
        if verdict is None:
            return None
        end, self._doubt = self._doubt, None
        return None if verdict else end

    def _note_clause(self, at: int, *, rank: int) -> None:
        """Keep a place to cut: the first chunk's first clause, else the last before it is long."""
        linger_cancelled = self._is_first and self._first_chars > 0
        if not self._suffices(at) or not (linger_cancelled or at >= self._min_chars):
            return
        if linger_cancelled and self._sentence_end and at - self._sentence_end <= REST_CHARS:
            return  # «… العنوان. ثانياً:»: too little of its sentence to be spoken well
        settled = linger_cancelled or at > self._long_chars
        if self._clause is None or rank > self._clause_rank:
            self._clause, self._clause_rank = at, rank
        elif rank == self._clause_rank and not settled:
            self._clause = at

    def _cut_at_clause(self) -> int | None:
        """Return the place to cut, when the first chunk is due or the sentence is too long."""
        linger_cancelled = self._is_first and self._first_chars > 0 and self._clause_rank > 0
        if not linger_cancelled and len(self._chars) <= self._long_chars:
            return None
        rest = "".join(self._chars[self._clause :]).strip()
        if len(rest) < REST_CHARS:
            return None
        if item_number(rest.split(maxsplit=1)[0]) is not None:
            # «هو: 3. …»: at the beginning of a chunk the number would pass for an item's marker
            self._clause = None
        self._at_clause = self._clause is not None
        return self._clause
