"""What a reasoning model thinks aloud, between tags in its text."""

import re

_TAG = re.compile(r"<(/?)(think|thinking|reasoning)>", re.IGNORECASE)
_TAGS = tuple(f"<{slash}{name}>" for slash in ("", "/") for name in ("thinking", "reasoning"))
"""The longest tags; `<think>` begins as `<thinking>` does."""
_MAX_START_CHARS = max(map(len, _TAGS)) - 1


class ThinkingFilter:
    """Drop the thinking out of a text that arrives in pieces, cut anywhere.

    What stands between a tag and the closing tag of its name is thinking, and so is what follows a
    tag that is never closed. A closing tag by itself is dropped: some servers leave out the opening
    one. Nothing of the thinking is kept.
    """

    def __init__(self) -> None:
        self._name: str | None = None
        """The name of the tag whose closing ends the thinking; None outside of it."""
        self._start = ""
        """The end of the text so far, which may be the beginning of a tag."""

    def feed(self, text: str) -> str:
        """Take a piece; return what of it is no thinking, and cannot become a tag."""
        if not self._start and self._name is None and "<" not in text:
            return text
        text, at, kept = self._start + text, 0, list[str]()
        for tag in _TAG.finditer(text):
            slash, name = tag[1], tag[2].lower()
            if self._name is None:
                kept.append(text[at : tag.start()])
                self._name = None if slash else name
            elif slash and name == self._name:
                self._name = None
            at = tag.end()
        end = _start_of_tag(text, at)
        self._start = text[end:]
        if self._name is None:
            kept.append(text[at:end])
        return "".join(kept)

    def finish(self) -> str:
        """Take the end of the text; return what looked like the beginning of a tag."""
        rest = self._start if self._name is None else ""
        self._start, self._name = "", None
        return rest


def _start_of_tag(text: str, after: int) -> int:
    """Return where a tag may begin that the end of `text` cuts; its length if there is none."""
    at = text.rfind("<", max(after, len(text) - _MAX_START_CHARS))
    start = text[at:].lower()
    return at if at >= 0 and any(tag.startswith(start) for tag in _TAGS) else len(text)
