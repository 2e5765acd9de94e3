"""Lines of a body that arrives in chunks."""

from collections.abc import Iterator


class LineReader:
    """Cut bytes into lines. No byte is searched again, in however small chunks they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Return the size of the incomplete line."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take a chunk at the first step; iterate over complete lines, without their line breaks.

        Lines that are not taken out of the iterator come first the next time.
        """
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._searched_bytes)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched_bytes = 0
            yield line
        self._searched_bytes = len(self._buffer)

    def finish(self) -> bytes:
        """Return what follows the last line break."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched_bytes = 0
        return rest
