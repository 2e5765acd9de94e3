"""Text that the user adds without asking for a response."""

from app.errors import TextTooLongError


class AddedText:
    """The texts of one session that wait for the next turn, typed or spoken, to reach the agent."""

    def __init__(self) -> None:
        self._text = ""

    def add(self, text: str, *, max_chars: int) -> None:
        """Add text, on a line of its own.

        Raises `TextTooLongError` when more than `max_chars` would wait.
        """
        text = joined(self._text, text)
        if len(text) > max_chars:
            raise TextTooLongError(f"more than {max_chars} characters")
        self._text = text

    def take(self) -> str:
        """Return what waits, and keep it no longer."""
        text, self._text = self._text, ""
        return text


def joined(*texts: str) -> str:
    """Join texts, each on a line of its own; empty ones are left out."""
    return "\n".join(filter(None, texts))
