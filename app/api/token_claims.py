"""TokenClaims: what a valid token says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a valid token says."""

    subject: str
    """Who may use it."""
    session_id: str | None = None
    """The only session that it opens; None for any that is not somebody else's."""
    max_s: float | None = None
    """Longest session, in seconds."""
    speaker: str | None = None
    transport: str | None = None
