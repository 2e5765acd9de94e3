"""What of a written text is read out: no Markdown, HTML, emoji or URLs; pure."""

import html
import re
import unicodedata

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
        # with attributes, or «a <b وكان c> d» would be one
        (r"</?[a-z][a-z0-9-]{0,20}(?:\s[^<>=]{0,100}=[^<>]{0,500})?\s*/?>", "", re.IGNORECASE),
        (
            r"^\s*\[[^\[\]\n]+\]:\s*<?(?:https?:|www\.)\S*[^\n]*$",
            "",
            re.MULTILINE,
        ),  # where [a][1] leads
        (rf"!?{_LINK}", r"\1", 0),
        (r"\[([^\[\]\n]+)\]\[[^\[\]\n]{0,40}\]", r"\1", 0),
        (r"\[\^[^\[\]\s]*\]", "", 0),  # a footnote's number
        (r"<(?:mailto:)?([^\s<>@]{1,64}@[^\s<>@]{1,255})>", r"\1", re.IGNORECASE),
        (r"(?:mailto|tel):(?=\S)", "", re.IGNORECASE),
        (_URL, "", re.IGNORECASE),
        (r"<\s*>|\(\s*\)|\[\s*\]|«\s*»|\"\s*\"", "", 0),  # what an address leaves behind
        (rf"{_EMOJI}(?:{_EMOJI}|[\ufe0f\u200d])*|[\ufe0e\ufe0f\u20e3]", "", 0),
        ("[\u00ad\u200b\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]", "", 0),
    )
]

_LINE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\s+", " "),  # first of all, so that no pattern below meets a long run of it
        (r"^\s*(?:```|~~~)[\w+-]*\s*$", ""),  # a fence, with the name of its language
        (r"^\s*(?:[-*_=]\s*){3,}$", ""),  # a rule
        (r"^[\s|:-]*-[\s|:-]*$", ""),  # the line under a table's head
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
        (r"(?<=[؀-ۿ])_(?=[؀-ۿ])", " "),  # a tag: #ناقل_إكسبرس
        (r"\s+", " "),
        (r" (?=[.،,؛](?:\s|$))", ""),
    )
]


def tts_text(text: str) -> str:
    """Return what is read out of a text that is shown: its words, in their order.

    A link speaks its label, a bare URL nothing; the marker of a list's item, also its number, is
    not read out; a line break is a pause.
    """
    text = html.unescape(text)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    lines = map(_spoken_line, text.splitlines())
    return _joined([line for line in lines if line])


def _spoken_line(line: str) -> str:
    for pattern, replacement in _LINE:
        line = pattern.sub(replacement, line)
    return line.strip()


def _joined(lines: list[str]) -> str:
    """Join lines; one that ends without a mark gets a comma, or it would run into the next."""
    return " ".join([line + _pause_after(line[-1]) for line in lines[:-1]] + lines[-1:])


def _pause_after(char: str) -> str:
    if unicodedata.category(char)[0] not in "LMN":
        return ""
    return "," if char.isascii() else "،"
