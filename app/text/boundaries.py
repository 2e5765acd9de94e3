"""What the end of a word says about the sentence: pure, one word at a time."""

import re
import unicodedata
from enum import Enum, auto

SENTENCE_MARKS = "!?؟۔"
GLUING_MARKS = ".!؟"
"""Marks after which writers, and models, forget the space: «وصلت.هل»."""
CLAUSE_MARKS = "،,:;–—"

OPENERS = "«‹([{﴿"
CLOSERS = "»›)]}﴾"
QUOTES = '"“”'
"""Quotation marks that open and close alike: writers of Arabic use the curly ones either way."""

_INVISIBLE = "\u200b\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_MARKUP = "*_`~"
_MARKS = (".", "…", "؛", *SENTENCE_MARKS, *CLAUSE_MARKS)
_EMOJI = ("So", "Sk", "Mn", "Me", "Cf")
"""Categories of pictures, and of what shades, joins or circles them."""
_AFTER = CLOSERS + QUOTES + "'’" + _MARKUP + _INVISIBLE
"""What may follow a mark and still belongs to it."""
_BEFORE = OPENERS + QUOTES + "'‘" + _MARKUP + _INVISIBLE

_SHORTENED = "mr mrs ms dr prof eng st vs inc ltd co no هـ"
_ABBREVIATIONS = frozenset(_SHORTENED.split())
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?")  # e.g, U.S, ص.ب, ش.م.م
_BULLET = re.compile(r"[^\W\d_][.)\-]|[-*+•▪◦●·–—]")
_NUMBER = re.compile(r"(\d{1,3})[.)\-]")

_CONTINUING_WORDS = (
    "ثم أو او أم لكن ولكن لكنه لكنها لكنك بل حتى لأن لأنه لأنها لأنك كي لكي إذ كما حيث بينما "
    "الذي التي الذين وإلا وإن ولو"
)
CONTINUING = frozenset(_CONTINUING_WORDS.split())
"""Words that begin no sentence: after a doubtful end they go on with the one before."""

_GLUED = re.compile(r"[^\W\d_a-zA-Z]{3,}[.!؟]+")
_GLUED_NEXT = re.compile(r"[^\W\d_a-zA-Z]")
"""Shorter ones may be initials, ص.ب; those of other scripts may be addresses, nql.com."""
GLUED_CHARS = 80
"""Longest word after which a space may be forgotten, with its vowel signs and markup. A model that
is stuck writes «!!!!…» without end, and all of it would be looked at again with each."""


class Boundary(Enum):
    """What ends with a word."""

    NONE = auto()
    CLAUSE = auto()
    SEMICOLON = auto()
    """A clause, and as good as a sentence once the text is long enough."""
    AMBIGUOUS = auto()
    """A sentence, unless the next word continues it: after an ellipsis, a quotation, a unit."""
    SENTENCE = auto()


def item_number(word: str) -> int | None:
    """Return the number that this word may give to an item of a list: `2.`, `٢)`."""
    match = _NUMBER.fullmatch(word.strip(_INVISIBLE + _MARKUP))
    return int(match[1]) if match else None


def is_bullet(word: str) -> bool:
    """Tell whether this word may stand before an item of a list."""
    return _BULLET.fullmatch(word.strip(_INVISIBLE)) is not None


def missing_space(word: str, char: str) -> bool:
    """Tell whether `word`, with its mark, is a word by itself though `char` follows at once."""
    bare = "".join(each for each in word if _counts(each))
    return (
        _GLUED.fullmatch(bare.lstrip(_BEFORE)) is not None and _GLUED_NEXT.match(char) is not None
    )


def boundary_after(word: str, *, before: str = "", ended: Boundary = Boundary.NONE) -> Boundary:
    """Tell what ends with `word`, which follows the word `before`, with which `ended` ended."""
    core = _core(word)
    closed = any(char in CLOSERS or char in QUOTES for char in word[len(core) :])
    if not core:  # a closing mark by itself belongs to what it closes
        if ended is Boundary.SENTENCE and closed:
            return Boundary.AMBIGUOUS
        return ended if ended is not Boundary.CLAUSE else Boundary.NONE
    if core.endswith(("…", "..")):
        return Boundary.AMBIGUOUS
    if core[-1] == ".":
        body = core[:-1].lstrip(_BEFORE)
        if _is_abbreviation(body):  # after a number it is a unit, which may end a sentence: 5 م.
            return Boundary.AMBIGUOUS if before[-1:].isdigit() else Boundary.NONE
        return Boundary.AMBIGUOUS if closed else Boundary.SENTENCE
    if core[-1] == "؛":
        return Boundary.SEMICOLON
    if core[-1] in CLAUSE_MARKS:
        return Boundary.CLAUSE
    if core[-1] not in SENTENCE_MARKS:
        return Boundary.NONE
    return Boundary.AMBIGUOUS if closed else Boundary.SENTENCE


def _core(word: str) -> str:
    """Take off what follows the last mark and still belongs to it, also emoji: «تم!😊»."""
    end = len(word)
    while end and (word[end - 1] in _AFTER or unicodedata.category(word[end - 1]) in _EMOJI):
        end -= 1
    return word[:end] if word[:end].endswith(_MARKS) else word.rstrip(_AFTER)


def _is_abbreviation(body: str) -> bool:
    """Tell whether the stop after `body` only shortens it."""
    plain = body.lower()
    if len(plain) == 1 and plain.isalpha():  # initials and titles: د. أ. م. J.
        return True
    if len(plain) == 2 and plain[0] == "و" and plain[1] in "دأم":  # «ود. سارة»
        return True
    return plain in _ABBREVIATIONS or _DOTTED.fullmatch(plain) is not None


def continues(word: str, *, whole: bool) -> bool | None:
    """Tell whether the word after a doubtful end goes on with its sentence; None: who knows."""
    plain = "".join(char for char in word if _counts(char)).rstrip(CLAUSE_MARKS)
    if not plain:
        return False if whole else None
    if plain[0].islower():
        return True
    if plain in CONTINUING:
        return True if whole else None
    if not whole and any(known.startswith(plain) for known in CONTINUING):
        return None
    return False


def _counts(char: str) -> bool:
    return char not in _INVISIBLE and unicodedata.category(char) != "Mn"
