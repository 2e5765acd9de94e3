"""One node of an n8n workflow that writes into the stream."""

from app.agents.segment_reader import SegmentReader
from app.agents.text_assembler import TextAssembler

MAX_NAME_CHARS = 100
"""Of a node's name in the log: chosen."""


class N8nNode:
    """What one node has sent, in segments: its runs, and its items within a run."""

    def __init__(self, name: str, path: tuple[str, ...], *, is_spoken: bool, is_data: bool) -> None:
        self.name = name[:MAX_NAME_CHARS]
        self.is_spoken = is_spoken
        self.is_data = is_data
        """Whether what it sends is data for the client."""
        self.is_repetition = False
        """Whether it only repeats what was said."""
        self.run_open = False
        self.has_failed = False
        self.problem: str | None = None
        """What was wrong with its JSON."""
        self.failure: str | None = None
        """Why the agent failed, by its JSON."""
        self.chars = 0
        self.item_index: object = None
        self.reader = SegmentReader(path)
        """Reads the current segment."""
        self._path = path
        self._held = TextAssembler()
        self._held_pieces: list[str] = []
        self._held_chars = 0

    @property
    def held_chars(self) -> int:
        """Return the size of what is held back."""
        return self.reader.held_chars + self._held_chars

    @property
    def held_text(self) -> str:
        """Return the text that is kept, as it may be spoken later."""
        return "".join(self._held_pieces)

    def hold(self, text: str) -> None:
        """Keep text that is not spoken now."""
        text = self._held.add(text)
        self._held_pieces.append(text)
        self._held_chars += len(text)

    def drop_held(self) -> None:
        """Forget what was kept."""
        self._held, self._held_pieces, self._held_chars = TextAssembler(), [], 0

    def end_segment(self) -> SegmentReader:
        """Begin the next segment; return the reader of the one before, which is to be finished."""
        reader, self.reader = self.reader, SegmentReader(self._path)
        self._held.start_segment()
        return reader
