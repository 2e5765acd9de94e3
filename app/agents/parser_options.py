"""What an operator says about the responses of an agent."""

from dataclasses import dataclass

MAX_LINE_BYTES = 1024 * 1024
"""About 20 minutes of speech: far beyond a response, small in memory."""


@dataclass(frozen=True, slots=True)
class ParserOptions:
    """How a response is read."""

    nodes: tuple[str, ...] = ()
    """The n8n nodes that are spoken. None: the first that sends text, and the one that ends the
    run."""
    data_nodes: frozenset[str] = frozenset()
    """The n8n nodes whose output is data for the client."""
    answer_path: tuple[str, ...] = ()
    """Where the text stands in JSON, as the names of a JSON Pointer; none: under a usual key."""
    max_line_bytes: int = MAX_LINE_BYTES
    """Longest line, event or JSON document, and most text that is held back."""


DEFAULT_OPTIONS = ParserOptions()


def pointer_names(pointer: str) -> tuple[str, ...]:
    """Return the names in a JSON Pointer (RFC 6901), which begins with a slash or is empty."""
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
