"""A response that is plain text."""

import codecs

from app.agents.form_parser import FormParser
from app.agents.json_response import NO_TEXT
from app.errors import AgentEmptyError, AgentError


class TextParser(FormParser):
    """Pass text on as it arrives, but for white space at its beginning; characters stay whole."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pieces = 0

    @property
    def progress(self) -> int:
        """Return the count of pieces."""
        return self._pieces

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the text, and return what of it holds whole characters."""
        return self._add(self._decoder.decode(data))

    def finish(self) -> list[str]:
        """Return what stands for a character that was cut."""
        return self._add(self._decoder.decode(b"", final=True))

    def final_error(self) -> AgentError | None:
        """Return `AgentEmptyError` if there was no text."""
        return None if self._pieces else AgentEmptyError(NO_TEXT)

    def _add(self, text: str) -> list[str]:
        if not self._pieces:
            text = text.lstrip()
        self._pieces += bool(text)
        return [text] if text else []
