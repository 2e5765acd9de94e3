"""What a server may send beside the bodies of its responses."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The bounds of every connection to the provider and the agent.

    The settings `HTTP_MAX_…` and `HTTP2_MAX_…` explain each.
    """

    max_header_line_bytes: int = 8190
    """Longest line of a head over HTTP/1.1."""
    max_head_bytes: int = 32 * 1024
    """Largest head over HTTP/2, uncompressed; it is checked while it is decompressed."""
    max_headers: int = 128
    """Most header fields of a response."""
    max_informational: int = 10
    """Informational (1xx) responses that may come before a response."""
    max_control_frames_per_s: int = 5000
    """HTTP/2 frames that carry neither a response nor audio: pings, settings, window updates,
    resets, empty data."""


DEFAULT_LIMITS = HttpLimits()
