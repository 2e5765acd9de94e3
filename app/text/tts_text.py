"""The text that is synthesized: without Markdown, HTML, emoji and URLs. Pure."""

import html
import re
import unicodedata
from typing import NamedTuple

from app.text.speakable import speakable_chars

_URL = r"(?:https?://|ftp://|www\.)[^\s<>«»\"،؛؟]*[^\s<>«»\".,!?…؟،؛:;)\]}'*_`]"
_EMOJI = (
    "[\u2190-\u21ff\u2300-\u23ff\u25a0-\u2775\u2794-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f0ff\U0001f10d-\U0001faff\U000e0020-\U000e007f]"
)
_LINK = r"\[([^\[\]]*)\]\((?:<[^<>\n]*>|(?:[^()\s]|\([^()\s]*\))*)(?:\s+\"[^\"]*\")?\)"

_INLINE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern, flags), replacement)
    for pattern, replacement, flags in (
        (r"<!--.*?-->", "", re.DOTALL),
        (r"<(?:br|/p|/li|/div|/tr|/h[1-6])\s*/?>", "\n", re.IGNORECASE),
        # after its name only attributes: «a <b وكان c> d» is no tag
        (r"</?[a-z][a-z0-9-]{0,20}(?:\s[^<>=]{0,100}=[^<>]{0,500})?\s*/?>", "", re.IGNORECASE),
        (
            r"^\s*\[[^\[\]\n]+\]:\s*<?(?:https?:|www\.)\S*[^\n]*$",
            "",
            re.MULTILINE,
        ),  # the definition of a reference link, [a][1]
        (rf"!?{_LINK}", r"\1", 0),
        (r"\[([^\[\]\n]+)\]\[[^\[\]\n]{0,40}\]", r"\1", 0),
        (r"\[\^[^\[\]\s]*\]", "", 0),  # a footnote
        (r"<(?:mailto:)?([^\s<>@]{1,64}@[^\s<>@]{1,255})>", r"\1", re.IGNORECASE),
        (r"(?:mailto|tel):(?=\S)", "", re.IGNORECASE),
        (_URL, "", re.IGNORECASE),
        (r"<\s*>|\(\s*\)|\[\s*\]|«\s*»|\"\s*\"", "", 0),  # left empty by a removed URL
        (rf"{_EMOJI}(?:{_EMOJI}|[\ufe0f\u200d])*|[\ufe0e\ufe0f\u20e3]", "", 0),
        ("[\u00ad\u200b\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]", "", 0),
    )
]

_LINE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\s+", " "),  # first, so that no pattern below is slow on a long run of it
        (r"^\s*(?:```|~~~)[\w+-]*\s*$", ""),  # a code fence
        (r"^\s*(?:[-*_=]\s*){3,}$", ""),  # a horizontal rule
        (r"^[\s|:-]*-[\s|:-]*$", ""),  # the separator under a table's header
        (r"^\s*(?:>\s*)+", ""),
        (r"^\s*#{1,6}\s+|\s+#+\s*$", ""),
        (r"^\s*(?:[-*+•▪◦●·–—]\s+)?(?:\*\*|__)?\d{1,3}[.)\-]\s+(?=\S)", ""),
        (r"^\s*[-*+•▪◦●·–—]\s+(?=\S)", ""),
        (r"^\[[ xX]\]\s+", ""),
        (r"^\s*\|\s*|\s*\|\s*$", ""),
        (r"\s+\|\s+", "، "),
        (r"\\(?=[\\`*_{}\[\]()#+.!|>~-])", ""),
        (r"`+|~~", ""),
        (r"\*{2,}|(?<!\d )\*(?!\d)", ""),  # «*123#» is a number to dial
        (r"__+|(?<!\w)_|_(?!\w)", ""),  # not inside names: a_b@c.sa
        (r"(?<=[؀-ۿ])_(?=[؀-ۿ])", " "),  # a hashtag: #ناقل_إكسبرس
        (r"\s+", " "),
        (r" (?=[.،,؛](?:\s|$))", ""),
    )
]


class SentenceText(NamedTuple):
    """A sentence as it is displayed, and its TTS text."""

    displayed: str
    spoken: str
    speakable_chars: int
    """How many characters of the TTS text are pronounced."""


def sentence_text(displayed: str) -> SentenceText:
    """Return a sentence with its TTS text."""
    spoken = tts_text(displayed)
    return SentenceText(displayed, spoken, speakable_chars(spoken))


def tts_text(text: str) -> str:
    """Return the words of a displayed text that are spoken, in their order.

    Of a link the label is spoken, of a bare URL nothing. Markers of list items, numbers included,
    are dropped. A line break becomes a pause.
    """
    text = html.unescape(text)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    lines = map(_strip_line_markup, text.splitlines())
    return _join_lines([line for line in lines if line])


def _strip_line_markup(line: str) -> str:
    for pattern, replacement in _LINE:
        line = pattern.sub(replacement, line)
    return line.strip()


def _join_lines(lines: list[str]) -> str:
    """Join lines; one without punctuation at its end gets a comma, to be spoken as a pause."""
    return " ".join([line + _pause_after(line[-1]) for line in lines[:-1]] + lines[-1:])


def _pause_after(char: str) -> str:
    if unicodedata.category(char)[0] not in "LMN":
        return ""
    return "," if char.isascii() else "،"
