"""One text out of the pieces that a model writes."""

from app.agents.json_response import whole_characters


class TextAssembler:
    """Make pieces fit for speech: whole characters, and words that do not run together."""

    def __init__(self) -> None:
        self.said = False
        """Whether there was more than blanks."""
        self._last_character = ""
        self._half_character = ""
        self._seam = False

    def part(self) -> None:
        """Note that what follows was written separately: it begins a word of its own."""
        self._seam = True

    def add(self, content: str) -> str:
        """Return what of `content` can be said now."""
        text = self._joined(content)
        if not text:
            return ""
        if self._seam:
            text = self._parted(text)
        self._seam = False
        self.said = self.said or not text.isspace()
        self._last_character = text[-1]
        return text

    def _parted(self, text: str) -> str:
        glued = self._last_character and not (self._last_character.isspace() or text[0].isspace())
        return f"\n{text}" if glued else text

    def _joined(self, content: str) -> str:
        """Hold back the first UTF-16 half of a character that the model split between tokens."""
        text, self._half_character = self._half_character + content, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half_character = text[:-1], text[-1]
        return whole_characters(text)
