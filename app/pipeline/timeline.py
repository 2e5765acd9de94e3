"""When things happened in a turn, in milliseconds since the end of the user's utterance."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.transports.base import Attempt


@dataclass(slots=True)
class SentenceMetrics:
    """How one sentence was spoken."""

    index: int
    text: str
    attempts: Sequence[Attempt] = ()
    audio_ms: float = 0.0
    """Audio handed to the client."""

    @property
    def ttfb_ms(self) -> float | None:
        """Request sent to first audio byte, of the attempt that was heard."""
        return self.selected_attempt.ttfb_ms if self.selected_attempt else None

    @property
    def selected_attempt(self) -> Attempt | None:
        """The attempt that was heard, the last one if several were; else the last one made."""
        delivered = [attempt for attempt in self.attempts if attempt.delivered]
        made = delivered or self.attempts
        return made[-1] if made else None

    @property
    def faults(self) -> list[str]:
        """The codes of what went wrong, in order."""
        return [attempt.fault for attempt in self.attempts if attempt.fault]


@dataclass(slots=True)
class TurnMetrics:
    """The latencies of one turn; None for what did not happen."""

    started_at: float = 0.0
    """The moment that all count from, on the loop's clock in seconds."""
    endpointing_ms: float | None = None
    """Silence that was waited for, to know that the utterance was over."""
    stt_ms: float | None = None
    agent_first_token_ms: float | None = None
    first_sentence_ms: float | None = None
    first_audio_ms: float | None = None
    agent_done_ms: float | None = None
    total_ms: float | None = None
    sentences: list[SentenceMetrics] = field(default_factory=list)


class Timeline:
    """Takes the times of one turn. `now` is the loop's clock in seconds."""

    def __init__(self, started_at: float) -> None:
        self.metrics = TurnMetrics(started_at)
        self._started_at = started_at
        self._reported: tuple[float, float] | None = None
        self._buffer_empty_at = 0.0
        """When a player has played what it was sent, if it plays what is there at once."""

    def since_start_ms(self, now: float) -> float:
        """Return how long ago the user's utterance ended."""
        return (now - self._started_at) * 1000

    def snapshot(self, now: float) -> TurnMetrics:
        """Return the latencies as far as they go; a turn that is not over has ended here."""
        if self.metrics.total_ms is None:
            self.metrics.total_ms = self.since_start_ms(now)
        return self.metrics

    def sentence(self, text: str) -> SentenceMetrics:
        """Begin the next sentence."""
        sentence = SentenceMetrics(len(self.metrics.sentences), text)
        self.metrics.sentences.append(sentence)
        return sentence

    def sent(self, sentence: SentenceMetrics, audio_ms: float, now: float) -> None:
        """Count audio of a sentence that is handed to the client."""
        sentence.audio_ms += audio_ms
        self._buffer_empty_at = max(self._buffer_empty_at, now) + audio_ms / 1000

    def on_playback_report(self, played_ms: float, now: float) -> None:
        """Take the client's word for what was heard."""
        self._reported = (played_ms, now)

    def played_ms(self, now: float) -> float:
        """Return what was heard: the client's last report, if it sends any.

        Else estimate what a player played that waited for nothing but the audio.
        """
        if self._reported is not None:
            return min(self._sent_ms, self._reported[0])
        return max(0.0, self._sent_ms - max(0.0, self._buffer_empty_at - now) * 1000)

    def is_audible(self, now: float) -> bool:
        """Tell whether the client still has audio to play."""
        return self.buffered_ms(now) > 0

    @property
    def _sent_ms(self) -> float:
        return sum(sentence.audio_ms for sentence in self.metrics.sentences)

    def buffered_ms(self, now: float) -> float:
        """Estimate how much audio the client still has to play, had it played on since its report.

        A report is some 250 ms old, and to wait for so long is heard as a silence.
        """
        reported_at = self._reported[1] if self._reported is not None else now
        return max(0.0, self._sent_ms - self.played_ms(now) - (now - reported_at) * 1000)

    def played_text(self, played_ms: float) -> str:
        """Return the words that fit into so much audio, sentence by sentence."""
        heard: list[str] = []
        for sentence in self.metrics.sentences:
            if played_ms <= 0:
                break
            if not sentence.audio_ms:
                continue  # it could not be spoken; those after it were
            words = sentence.text.split()
            share = min(1.0, played_ms / sentence.audio_ms)
            heard += words[: round(len(words) * share)]
            played_ms -= sentence.audio_ms
        return " ".join(heard)
