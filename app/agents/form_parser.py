"""The parser of one form of body."""

from abc import ABC, abstractmethod

from app.agents.base import NodeText
from app.errors import AgentError


class FormParser(ABC):
    """Turn the bytes of a body of one form, cut anywhere, into pieces of text.

    Bytes go in and text comes out: a parser does no I/O, knows no clock, and does not know who
    reads the body. Pieces are never empty, and remain valid whatever the final error.
    """

    def __init__(self) -> None:
        self.error: AgentError | None = None
        """Why the body cannot be read on; nothing after that is read."""

    @property
    def progress(self) -> int:
        """Return the count of what shows progress: not keep-alives, not empty texts."""
        return 0

    @property
    def awaiting_end(self) -> bool:
        """Return whether only the end of the body should follow: after an error, or the end."""
        return False

    @property
    def done(self) -> bool:
        """Return whether the end of the response was announced; nothing after it is read."""
        return False

    @property
    def n8n_error_reason(self) -> str | None:
        """Return the reason in n8n's last `error` line, whether or not the response failed."""
        return None

    @property
    def node_texts(self) -> list[NodeText]:
        """Return what each node of a workflow sent; complete after `finish`."""
        return []

    @property
    def pending_bytes(self) -> int:
        """Return the size of what is kept until more comes."""
        return 0

    @abstractmethod
    def feed(self, data: bytes) -> list[str]:
        """Take a chunk of the body, and return the pieces that are known by now."""

    @abstractmethod
    def finish(self) -> list[str]:
        """Take the end of the body, and return the pieces that remain."""

    @abstractmethod
    def final_error(self) -> AgentError | None:
        """Return, after `finish`, why the response is not complete; None if it is."""
