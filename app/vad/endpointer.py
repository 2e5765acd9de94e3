"""Endpointing: where an utterance begins and ends, from the probability of speech over time."""

from dataclasses import dataclass
from enum import Enum, auto

HYSTERESIS = 0.15
"""How far below the threshold speech must fall to be over: as Silero's own iterator has it."""

CANDIDATE_GAP_MS = 160
"""Silence that ends what was too short to be an utterance; stops in a word last up to 100 ms."""


@dataclass(frozen=True, slots=True)
class EndpointerLimits:
    """When speech is an utterance, and when that is over."""

    threshold: float = 0.5
    """Probability from which it is speech, 0 to 1."""
    min_speech_ms: float = 160
    """Shortest utterance."""
    barge_in_min_speech_ms: float = 400
    """Shortest utterance that interrupts an answer."""
    pause_ms: float = 200
    """Silence that may be the end."""
    silence_ms: float = 500
    """Silence that is the end."""
    max_utterance_ms: float = 120_000
    """Longest utterance."""

    def min_ms(self, *, during_response: bool) -> float:
        """Return how much speech makes an utterance."""
        return self.barge_in_min_speech_ms if during_response else self.min_speech_ms


class EndpointEvent(Enum):
    """What a window of audio brought."""

    BEGAN = auto()
    PAUSED = auto()
    RESUMED = auto()
    ENDED = auto()
    CUT = auto()
    """The utterance reached its greatest length."""


class Endpointer:
    """Fed one probability a window; says when an utterance begins, pauses and ends.

    After a cut it is deaf until there is a pause: the rest of a speech without end is not another
    utterance.
    """

    def __init__(self, limits: EndpointerLimits, window_ms: float) -> None:
        self.start_ms = 0.0
        """Where the utterance, or what may become one, began."""
        self.end_ms = 0.0
        """Where speech was last heard."""
        self.now_ms = 0.0
        """What was fed so far."""
        self.is_speaking = False
        """Whether an utterance has begun."""
        self._limits = limits
        self._window_ms = window_ms
        self._speech_ms = 0.0
        self._has_paused = False
        self._suppressed = False

    @property
    def is_active(self) -> bool:
        """Whether there is, or may be, an utterance under way."""
        return self.is_speaking or self._suppressed or self._speech_ms > 0

    @property
    def keep_from_ms(self) -> float:
        """Return since when the stream may yet be part of an utterance."""
        return self.start_ms if self.is_active and not self._suppressed else self.now_ms

    def feed(self, probability: float, *, during_response: bool = False) -> EndpointEvent | None:
        """Take the next window."""
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
            return self._go_on()
        self._speech_ms += self._window_ms
        if self._speech_ms < self._limits.min_ms(during_response=during_response):
            return None
        self.is_speaking = True
        return EndpointEvent.BEGAN

    def finish(self) -> bool:
        """End the utterance here; tell whether there was one."""
        was_speaking = self.is_speaking
        self._reset()
        return was_speaking

    def _go_on(self) -> EndpointEvent | None:
        if self.now_ms - self.start_ms >= self._limits.max_utterance_ms:
            self._reset()
            self._suppressed = True
            return EndpointEvent.CUT
        if self._has_paused:
            self._has_paused = False
            return EndpointEvent.RESUMED
        return None

    def _on_silence(self) -> EndpointEvent | None:
        silence_ms = self.now_ms - self.end_ms
        if not self.is_speaking:
            patience_ms = self._limits.silence_ms if self._suppressed else CANDIDATE_GAP_MS
            if silence_ms >= patience_ms:
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
