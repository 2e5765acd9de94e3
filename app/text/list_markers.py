"""Markers of list items: bullets, and numbers such as «2.» and «٢)»."""

import re

from app.text.boundaries import INVISIBLE, MARKUP

_BULLET = re.compile(r"[^\W\d_][.)\-]|[-*+•▪◦●·–—]")
_NUMBER = re.compile(r"(\d{1,3})[.)\-]")


def item_number(word: str) -> int | None:
    """Return the number of the list item that `word` may mark; None if it marks none."""
    match = _NUMBER.fullmatch(word.strip(INVISIBLE + MARKUP))
    return int(match[1]) if match else None


class ListMarkers:
    """Tells the marker of a list item, which belongs to the text after it, from other words."""

    def __init__(self) -> None:
        self._item = 0
        """Number of the last item; 0: no numbered list has begun."""

    def is_marker(self, word: str, *, starts_item: bool) -> bool:
        """Return whether `word` marks an item; `starts_item`: it follows a line break or a colon.

        A numbered list may continue within its line. The number of the last item is accepted again:
        after a cut the same marker is read twice.
        """
        number = item_number(word)
        if number is None:
            return starts_item and _BULLET.fullmatch(word.strip(INVISIBLE)) is not None
        if starts_item or (self._item and number in (self._item, self._item + 1)):
            self._item = number
            return True
        return False
