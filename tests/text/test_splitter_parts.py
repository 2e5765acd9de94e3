"""The parts of the sentence splitter, each alone: words, boundary rules, chunk policy."""

import pytest

from app.text.boundaries import Boundary
from app.text.boundary_rules import BoundaryRules
from app.text.chunk_policy import MIN_REMAINDER_CHARS, ChunkPolicy
from app.text.word_reader import WordReader


def written(text: str) -> WordReader:
    """Return a reader of this text, whose last word has not ended."""
    words = WordReader()
    for char in text:
        if char == " ":
            words.end_word()
            words.add_space(char)
        else:
            words.add(char)
    return words


@pytest.mark.parametrize(
    ("text", "word", "in_brackets", "has_words"),
    [
        ("نعم تم.", "تم.", False, True),
        ("«نعم، تم", "تم", True, True),
        ("«نعم» (1)", "(1)", False, True),
        ('5" تم', "تم", False, True),
        ("«" + "م" * 201, "«" + "م" * 201, False, True),
        ("😊 !", "!", False, False),
    ],
)
def test_words_and_brackets_are_read(
    text: str, word: str, in_brackets: bool, has_words: bool
) -> None:
    words = written(text)
    assert (words.word, words.is_in_brackets(), words.has_words) == (word, in_brackets, has_words)


@pytest.mark.parametrize(
    ("text", "char", "misses"),
    [
        ("وصلت.", "ه", True),
        ("ص.", "ب", False),
        ("nql.", "c", False),
        ("وصلت. ", "ه", False),
        ("!" * 81, "ه", False),
    ],
)
def test_a_missing_space_is_found(text: str, char: str, misses: bool) -> None:
    assert written(text).misses_space_before(char) is misses


NONE, CLAUSE, AMBIGUOUS, SENTENCE = (
    Boundary.NONE,
    Boundary.CLAUSE,
    Boundary.AMBIGUOUS,
    Boundary.SENTENCE,
)


@pytest.mark.parametrize(
    ("words", "boundary"),
    [
        ("2.", NONE),  # the first word of a line: the marker of an item
        ("رقم 2.", SENTENCE),
        ("هي: 2.", NONE),
        ("1. نعم 2.", NONE),  # the next item within the line
        ("5 م.", AMBIGUOUS),  # a unit after a number
        ("السيد م.", NONE),  # an initial
        ("قال. »", AMBIGUOUS),  # a closing mark by itself
        ("نعم، »", NONE),
        ("نعم،", CLAUSE),
    ],
)
def test_a_boundary_depends_on_the_words_before_it(words: str, boundary: Boundary) -> None:
    rules = BoundaryRules()
    assert [rules.after(word) for word in words.split()][-1] is boundary


def test_an_item_may_begin_after_a_line_break_and_not_after_a_cut() -> None:
    rules = BoundaryRules()
    rules.after("نعم")
    rules.end_line()
    assert rules.after("7.") is NONE
    rules.begin_chunk()
    assert rules.after("9.") is SENTENCE


def policy() -> ChunkPolicy:
    return ChunkPolicy(first_chars=20, min_chars=50, max_chars=300)


@pytest.mark.parametrize(
    ("boundary", "at", "in_brackets", "has_words", "end"),
    [
        (SENTENCE, 20, False, True, 20),
        (SENTENCE, 19, False, True, None),  # too short, even for a first chunk
        (SENTENCE, 60, False, False, None),  # nothing to speak
        (SENTENCE, 60, True, True, None),
        (CLAUSE, 60, False, True, None),
        (AMBIGUOUS, 60, False, True, None),
        (Boundary.SEMICOLON, 49, False, True, None),
        (Boundary.SEMICOLON, 50, False, True, 50),
    ],
)
def test_a_chunk_ends_at_a_sentence_that_is_long_enough(
    boundary: Boundary, at: int, in_brackets: bool, has_words: bool, end: int | None
) -> None:
    assert policy().on_boundary(boundary, at, in_brackets=in_brackets, has_words=has_words) == end


@pytest.mark.parametrize(("continues", "end"), [(None, None), (True, None), (False, 60)])
def test_the_next_word_decides_on_an_ambiguous_boundary(
    continues: bool | None, end: int | None
) -> None:
    chunk = policy()
    chunk.on_boundary(AMBIGUOUS, 60, in_brackets=False, has_words=True)
    assert chunk.next_decision == 0, "every character may decide"
    assert chunk.on_next_word(continues=continues) == end
    assert chunk.next_decision == (0 if continues is None else 300)


def test_the_first_chunk_may_be_a_clause_and_the_rest_of_its_sentence_as_short() -> None:
    chunk = policy()
    chunk.on_boundary(CLAUSE, 25, in_brackets=False, has_words=True)
    assert chunk.next_decision == 25 + MIN_REMAINDER_CHARS
    assert chunk.cut_at_clause(" كيف يمكنني") == 25
    chunk.begin_chunk()
    assert chunk.on_boundary(SENTENCE, 20, in_brackets=False, has_words=True) == 20
    chunk.begin_chunk()
    assert chunk.on_boundary(SENTENCE, 49, in_brackets=False, has_words=True) is None


def test_a_later_chunk_is_cut_at_its_last_clause_once_it_is_long() -> None:
    chunk = policy()
    chunk.begin_chunk()
    for at in (60, 120):
        chunk.on_boundary(CLAUSE, at, in_brackets=False, has_words=True)
    assert chunk.next_decision == 200
    assert chunk.cut_at_clause(" وهذا كلام طويل") == 120


@pytest.mark.parametrize("remainder", [" نعم", " 3. كيف يمكنني"])
def test_no_cut_leaves_too_little_or_a_number_that_looks_like_an_item(remainder: str) -> None:
    chunk = policy()
    chunk.on_boundary(CLAUSE, 25, in_brackets=False, has_words=True)
    assert chunk.cut_at_clause(remainder) is None
