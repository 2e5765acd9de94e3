"""Endpointing: where utterances begin and end, from the probability of speech over time. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

HYSTERESIS = 0.15
"""How far below the threshold the probability falls before speech ends: as in the `VADIterator` of
Silero."""

CANDIDATE_GAP_MS = 160
"""Silence after which speech too short for an utterance is discarded. The closure of a stop
consonant within a word lasts up to 100 ms."""


@dataclass(frozen=True, slots=True)
class EndpointerLimits:
    """When speech is an utterance, and when an utterance ends."""

    threshold: float = 0.5
    """Probability from which a window is speech, 0 to 1."""
    min_speech_ms: float = 160
    """Shortest utterance."""
    barge_in_min_speech_ms: float = 400
    """Shortest utterance during a response."""
    pause_ms: float = 200
    """Silence that may be the end of an utterance."""
    silence_ms: float = 500
    """Silence that ends an utterance."""
    max_utterance_ms: float = 120_000
    """Longest utterance."""

    def required_speech_ms(self, *, during_response: bool) -> float:
        """Return how much speech begins an utterance."""
        return self.barge_in_min_speech_ms if during_response else self.min_speech_ms


class EndpointEvent(Enum):
    """What a window of audio decided."""

    BEGAN = auto()
    PAUSED = auto()
    RESUMED = auto()
    ENDED = auto()
    LIMIT = auto()
    """The utterance has reached its greatest length."""


class Endpointer:
    """Takes one probability a window, and returns when an utterance begins, pauses and ends.

    After an utterance has been cut at its greatest length, further speech is suppressed until
    silence: the rest of endless speech is not another utterance.
    """

    def __init__(self, limits: EndpointerLimits, window_ms: float) -> None:
        self.start_ms = 0.0
        """Start of the utterance, or of speech that may become one."""
        self.end_ms = 0.0
        """End of the last window with speech."""
        self.now_ms = 0.0
        """End of the last window."""
        self.is_speaking = False
        """Whether an utterance has begun."""
        self._limits = limits
        self._window_ms = window_ms
        self._speech_ms = 0.0
        self._has_paused = False
        self._suppressed = False

    @property
    def is_active(self) -> bool:
        """Whether there is an utterance, or speech that may become one or is suppressed."""
        return self.is_speaking or self._suppressed or self._speech_ms > 0

    @property
    def keep_from_ms(self) -> float:
        """The first moment of the stream that may yet be part of an utterance."""
        return self.start_ms if self.is_active and not self._suppressed else self.now_ms

    def feed(self, probability: float, *, during_response: bool = False) -> EndpointEvent | None:
        """Take the probability, 0 to 1, that the next window is speech."""
        starts_at, self.now_ms = self.now_ms, self.now_ms + self._window_ms
        is_within = self.is_active and not self._has_paused
        threshold = self._limits.threshold - (HYSTERESIS if is_within else 0)
        if probability < threshold:
            return self._on_silence()
        if not self.is_active:
            self.start_ms = starts_at
        self.end_ms = self.now_ms
        if self._suppressed:
            return None
        if self.is_speaking:
            return self._on_speech_continued()
        self._speech_ms += self._window_ms
        if self._speech_ms < self._limits.required_speech_ms(during_response=during_response):
            return None
        self.is_speaking = True
        return EndpointEvent.BEGAN

    def finish(self) -> bool:
        """End the utterance here; return whether there was one."""
        was_speaking = self.is_speaking
        self._reset()
        return was_speaking

    def _on_speech_continued(self) -> EndpointEvent | None:
        if self.now_ms - self.start_ms >= self._limits.max_utterance_ms:
            self._reset()
            self._suppressed = True
            return EndpointEvent.LIMIT
        if self._has_paused:
            self._has_paused = False
            return EndpointEvent.RESUMED
        return None

    def _on_silence(self) -> EndpointEvent | None:
        """Count silence against the limit that the state sets.

        Without an utterance, it discards a candidate after a short gap, and lifts the suppression
        after a full one.
        """
        silence_ms = self.now_ms - self.end_ms
        if not self.is_speaking:
            required_ms = self._limits.silence_ms if self._suppressed else CANDIDATE_GAP_MS
            if silence_ms >= required_ms:
                self._reset()
            return None
        if silence_ms >= self._limits.silence_ms:
            self._reset()
            return EndpointEvent.ENDED
        if silence_ms >= self._limits.pause_ms and not self._has_paused:
            self._has_paused = True
            return EndpointEvent.PAUSED
        return None

    def _reset(self) -> None:
        self.is_speaking = self._has_paused = self._suppressed = False
        self._speech_ms = 0.0
