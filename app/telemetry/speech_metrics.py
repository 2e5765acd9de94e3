"""Counters of the synthesis attempts of one process."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class SpeechMetrics:
    """Counts synthesis attempts and late audio. All sessions share one object."""

    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Attempts by transport and outcome: the error code, `none` for success, `abandoned` for one
    that was cancelled."""
    late_audio_bytes: int = 0
    """Audio that arrived after the next sentence had started, and was dropped."""
