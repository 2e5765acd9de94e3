"""What all attempts at speech of one process came to."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class SpeechMetrics:
    """Counts attempts and audio that came too late; one object is shared by all sessions."""

    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Attempts by transport and outcome: the code of the fault, `none` for a good attempt,
    `abandoned` for one that was cancelled before its end."""
    late_audio_bytes: int = 0
    """Audio that arrived when the next sentence had already begun, and was dropped."""
