"""Sentence and clause boundaries: what ends with a word. Pure, one word at a time."""

import re
import unicodedata
from enum import Enum, auto

from app.text.brackets import CLOSERS, OPENERS, QUOTES

SENTENCE_MARKS = "!?؟۔"
UNSPACED_MARKS = ".!؟"
"""Marks after which writers and models forget the space: «وصلت.هل»."""
CLAUSE_MARKS = "،,:;–—"

INVISIBLE = "\u200b\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
"""Marks of direction and of zero width."""
MARKUP = "*_`~"
"""Markdown that may stand around a word."""

_MARKS = (".", "…", "؛", *SENTENCE_MARKS, *CLAUSE_MARKS)
_EMOJI = ("So", "Sk", "Mn", "Me", "Cf")
"""Unicode categories of emoji, and of what colours, joins or encloses them."""
_TRAILING = CLOSERS + QUOTES + "'’" + MARKUP + INVISIBLE
"""Characters that may follow a mark and still belong to it."""
_LEADING = OPENERS + QUOTES + "'‘" + MARKUP + INVISIBLE
"""Characters that may stand before a word and belong to it."""

_ABBREVIATION_WORDS = "mr mrs ms dr prof eng st vs inc ltd co no هـ"
_ABBREVIATIONS = frozenset(_ABBREVIATION_WORDS.split())
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")
"""Dotted abbreviations without their last dot: e.g, U.S, ص.ب, ش.م.م."""

_CONTINUATION_WORDS = (
    "ثم أو او أم لكن ولكن لكنه لكنها لكنك بل حتى لأن لأنه لأنها لأنك كي لكي إذ كما حيث بينما "
    "الذي التي الذين وإلا وإن ولو"
)
CONTINUATION_WORDS = frozenset(_CONTINUATION_WORDS.split())
"""Words that begin no sentence: after an ambiguous boundary they continue the one before."""

_UNSPACED_WORD = re.compile(r"[^\W\d_a-zA-Z]{3,}[.!؟]+")
"""A word with its mark, after which a space may be missing. Shorter words may be initials, ص.ب;
those of other scripts may be addresses, nql.com."""
_UNSPACED_NEXT = re.compile(r"[^\W\d_a-zA-Z]")
MAX_UNSPACED_CHARS = 80
"""Longest word, with vowel signs and markup, that is tested for a missing space. A model that is
stuck writes «!!!!…» without end, and every character would test all of it again."""


class Boundary(Enum):
    """What ends with a word."""

    NONE = auto()
    CLAUSE = auto()
    SEMICOLON = auto()
    """A clause; a sentence once the text is long enough."""
    AMBIGUOUS = auto()
    """A sentence, unless the next word continues it: after an ellipsis, a quotation, a unit."""
    SENTENCE = auto()


def missing_space(word: str, char: str) -> bool:
    """Return whether `word`, which ends with a mark, is complete though `char` follows at once."""
    bare = "".join(each for each in word if _is_significant(each))
    return (
        _UNSPACED_WORD.fullmatch(bare.lstrip(_LEADING)) is not None
        and _UNSPACED_NEXT.match(char) is not None
    )


def boundary_after(
    word: str, *, previous: str = "", previous_boundary: Boundary = Boundary.NONE
) -> Boundary:
    """Return the boundary after `word`.

    `previous` is the word before it, and `previous_boundary` the boundary after that one.
    """
    core = _without_trailing(word)
    closes = any(char in CLOSERS or char in QUOTES for char in word[len(core) :])
    if not core:  # a closing mark by itself belongs to the text that it closes
        if previous_boundary is Boundary.SENTENCE and closes:
            return Boundary.AMBIGUOUS
        return previous_boundary if previous_boundary is not Boundary.CLAUSE else Boundary.NONE
    if core.endswith(("…", "..")):
        return Boundary.AMBIGUOUS
    if core[-1] == ".":
        if _is_abbreviation(core[:-1].lstrip(_LEADING)):
            # after a number it is a unit, which may end a sentence: 5 م.
            return Boundary.AMBIGUOUS if previous[-1:].isdigit() else Boundary.NONE
        return Boundary.AMBIGUOUS if closes else Boundary.SENTENCE
    if core[-1] == "؛":
        return Boundary.SEMICOLON
    if core[-1] in CLAUSE_MARKS:
        return Boundary.CLAUSE
    if core[-1] not in SENTENCE_MARKS:
        return Boundary.NONE
    return Boundary.AMBIGUOUS if closes else Boundary.SENTENCE


def continues_sentence(word: str, *, complete: bool) -> bool | None:
    """Return whether the word after an ambiguous boundary continues the sentence.

    None: the characters of an incomplete word do not decide it yet.
    """
    plain = "".join(char for char in word if _is_significant(char)).rstrip(CLAUSE_MARKS)
    if not plain:
        return False if complete else None
    if plain[0].islower():
        return True
    if plain in CONTINUATION_WORDS:
        return True if complete else None
    if not complete and any(known.startswith(plain) for known in CONTINUATION_WORDS):
        return None
    return False


def _without_trailing(word: str) -> str:
    """Return the word up to its last mark, without what belongs to the mark, as in «تم!😊»."""
    end = len(word)
    while end and (word[end - 1] in _TRAILING or unicodedata.category(word[end - 1]) in _EMOJI):
        end -= 1
    return word[:end] if word[:end].endswith(_MARKS) else word.rstrip(_TRAILING)


def _is_abbreviation(body: str) -> bool:
    """Return whether a full stop after `body` only abbreviates it."""
    plain = body.lower()
    if len(plain) == 1 and plain.isalpha():  # initials and titles: د. أ. م. J.
        return True
    if len(plain) == 2 and plain[0] == "و" and plain[1] in "دأم":  # «ود. سارة»
        return True
    return plain in _ABBREVIATIONS or _DOTTED.fullmatch(plain) is not None


def _is_significant(char: str) -> bool:
    """Return whether a character is neither invisible nor a vowel sign."""
    return char not in INVISIBLE and unicodedata.category(char) != "Mn"
