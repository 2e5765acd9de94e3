"""One text made of the pieces in which an agent sends it."""

from app.agents.json_response import whole_characters


class TextAssembler:
    """Keep characters whole, and words of separate segments apart."""

    def __init__(self) -> None:
        self.has_text = False
        """Whether any text but whitespace was added."""
        self._last_character = ""
        self._half_character = ""
        self._segment_starts = False

    def start_segment(self) -> None:
        """Begin text that was written separately: a line break parts it from what came before."""
        self._segment_starts = True

    def add(self, content: str) -> str:
        """Return what of `content` can be passed on now; half a character is kept for later."""
        text = self._complete(content)
        if not text:
            return ""
        if self._segment_starts:
            text = self._separated(text)
        self._segment_starts = False
        self.has_text = self.has_text or not text.isspace()
        self._last_character = text[-1]
        return text

    def _separated(self, text: str) -> str:
        adjoin = self._last_character and not (self._last_character.isspace() or text[0].isspace())
        return f"\n{text}" if adjoin else text

    def _complete(self, content: str) -> str:
        """Keep the first half of a surrogate pair that the model split between two tokens."""
        text, self._half_character = self._half_character + content, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half_character = text[:-1], text[-1]
        return whole_characters(text)
