"""A response that is plain text."""

import codecs

from app.agents.form_parser import FormParser
from app.agents.json_response import NO_TEXT
from app.agents.segment_reader import NOT_AN_ANSWER, SegmentReader
from app.errors import AgentCutError, AgentEmptyError, AgentError


class TextParser(FormParser):
    """Pass text on as it arrives, but for white space at its beginning; characters stay whole."""

    def __init__(self, path: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._reader = SegmentReader(path)
        self._has_text = False
        self._progress = 0

    @property
    def progress(self) -> int:
        """Return the count of pieces, with those of thinking."""
        return self._progress

    @property
    def pending_bytes(self) -> int:
        """Return the size of what is held back."""
        return self._reader.held_chars

    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the text, and return what of it holds whole characters."""
        return self._add(self._reader.feed(self._decoded(data)))

    def finish(self) -> list[str]:
        """Return what was held back, and what stands for a character that was cut."""
        rest = self._reader.feed(self._decoded(b"", final=True))
        return self._add(rest + self._reader.finish())

    def final_error(self) -> AgentError | None:
        """Return why the text is not complete; `AgentEmptyError` if there was none."""
        if self._reader.problem not in (None, NOT_AN_ANSWER):
            return AgentCutError(self._reader.problem)
        return None if self._has_text else AgentEmptyError(self._reader.problem or NO_TEXT)

    def _decoded(self, data: bytes, *, final: bool = False) -> str:
        text = self._decoder.decode(data, final)
        self._progress += bool(text)
        return text

    def _add(self, text: str) -> list[str]:
        if not self._has_text:
            text = text.lstrip()
        self._has_text = self._has_text or bool(text)
        return [text] if text else []
