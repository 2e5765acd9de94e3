"""The boundary after each word of a text, by the word and by what stands before it. Pure."""

from app.text.boundaries import Boundary, boundary_after
from app.text.list_markers import ListMarkers


class BoundaryRules:
    """Takes the words of a response in order, and says what ends with each.

    A chunk that is cut off takes its words along: the next one begins with words that were read
    before, and with nothing before them.
    """

    def __init__(self) -> None:
        self._list_markers = ListMarkers()
        self._starts_line = True
        self._previous_word = ""
        self._boundary = Boundary.NONE
        """The boundary after the last word."""

    def begin_chunk(self) -> None:
        """Begin the next chunk of the same response."""
        self._starts_line = False
        self._previous_word = ""
        self._boundary = Boundary.NONE

    def after(self, word: str) -> Boundary:
        """Return the boundary after the next word; none ends with the marker of a list item.

        Most words end with a letter: those are no marker, and nothing ends with them.
        """
        self._boundary = (
            Boundary.NONE
            if word[-1:].isalnum() or self._is_marker(word)
            else boundary_after(
                word, previous=self._previous_word, previous_boundary=self._boundary
            )
        )
        self._previous_word = word
        self._starts_line = False
        return self._boundary

    def _is_marker(self, word: str) -> bool:
        starts_item = self._starts_line or self._previous_word.endswith(":")
        return self._list_markers.is_marker(word, starts_item=starts_item)

    def end_line(self) -> None:
        """Take a line break after a word: it ends a sentence."""
        self._boundary = Boundary.SENTENCE
        self.begin_line()

    def begin_line(self) -> None:
        """Begin a line: its first word may mark the item of a list."""
        self._starts_line = True
