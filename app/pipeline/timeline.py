"""The latencies of one turn, and how far the client has played its audio."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from app.errors import ProviderError
from app.transports.base import Attempt

SentenceResult = Literal["whole", "repaired", "continued", "lost"]
SENTENCE_RESULTS: tuple[SentenceResult, ...] = get_args(SentenceResult)


@dataclass(slots=True)
class SentenceMetrics:
    """How one sentence was synthesized."""

    index: int
    text: str
    attempts: Sequence[Attempt] = ()
    started_at: float = 0.0
    """When its audio was requested, in seconds of the loop's clock."""
    ended_at: float | None = None
    """When all of its audio was sent, or none of it will be any more."""
    audio_ms: float = 0.0
    """Duration of the audio that was sent to the client."""
    is_sent: bool = False
    """Whether all of its audio was sent."""
    error: ProviderError | None = None
    """Why the sentence was lost, or broke off; None if it was not."""

    @property
    def result(self) -> SentenceResult | None:
        """What the client got of it; None while it is sent, and when it was interrupted.

        Repaired: attempts failed of which nothing was sent. Continued: one broke in the middle, and
        another went on. Lost: all of its audio is missing, or the end.
        """
        if self.error is not None:
            return "lost"
        if not self.is_sent:
            return None
        if sum(attempt.delivered for attempt in self.attempts) > 1:
            return "continued"
        return "repaired" if self.faults else "whole"

    @property
    def ttfb_ms(self) -> float | None:
        """Request sent to first audio byte, of the selected attempt."""
        return self.selected_attempt.ttfb_ms if self.selected_attempt else None

    @property
    def selected_attempt(self) -> Attempt | None:
        """The last attempt whose audio was delivered; if there is none, the last attempt."""
        delivered = [attempt for attempt in self.attempts if attempt.delivered]
        attempts = delivered or self.attempts
        return attempts[-1] if attempts else None

    @property
    def faults(self) -> list[str]:
        """The error codes of the attempts that failed, in order."""
        return [attempt.fault for attempt in self.attempts if attempt.fault]


@dataclass(slots=True)
class TurnMetrics:
    """The latencies of one turn, since the end of the user's utterance.

    A latency is None until its stage has been reached.
    """

    started_at: float = 0.0
    """The end of the user's utterance, in seconds of the loop's clock."""
    endpointing_ms: float | None = None
    """Silence that it took to decide that the utterance had ended."""
    stt_ms: float | None = None
    agent_first_token_ms: float | None = None
    first_sentence_ms: float | None = None
    first_audio_ms: float | None = None
    overhead_ms: float | None = None
    """First audio of the response, from the provider to the client."""
    agent_done_ms: float | None = None
    total_ms: float | None = None
    sentences: list[SentenceMetrics] = field(default_factory=list)


class Timeline:
    """Records the latencies and the playback of one turn. `now` is the loop's clock in seconds."""

    def __init__(self, started_at: float) -> None:
        self.metrics = TurnMetrics(started_at)
        self._started_at = started_at
        self._last_report: tuple[float, float] | None = None
        """Milliseconds played and time of the client's last playback report."""
        self._buffer_empty_at = 0.0
        """When a player that plays audio as soon as it arrives will have played all of it."""

    def since_start_ms(self, now: float) -> float:
        """Return the time since the end of the user's utterance."""
        return (now - self._started_at) * 1000

    def snapshot(self, now: float) -> TurnMetrics:
        """Return the metrics. A turn that still runs gets its total up to `now`."""
        if self.metrics.total_ms is None:
            self.metrics.total_ms = self.since_start_ms(now)
        return self.metrics

    def add_sentence(self, text: str, now: float = 0.0) -> SentenceMetrics:
        """Append the next sentence, whose audio is requested now."""
        sentence = SentenceMetrics(len(self.metrics.sentences), text, started_at=now)
        self.metrics.sentences.append(sentence)
        return sentence

    def on_audio_sent(self, sentence: SentenceMetrics, audio_ms: float, now: float) -> None:
        """Count audio of a sentence that is sent to the client."""
        sentence.audio_ms += audio_ms
        self._buffer_empty_at = max(self._buffer_empty_at, now) + audio_ms / 1000

    def on_first_audio_sent(self, sentence: SentenceMetrics, now: float) -> None:
        """Record what the gateway added to the first audio of the response."""
        attempt = sentence.selected_attempt
        if self.metrics.overhead_ms is None and attempt and attempt.first_audio_at is not None:
            self.metrics.overhead_ms = (now - attempt.first_audio_at) * 1000

    def on_playback_report(self, played_ms: float, now: float) -> None:
        """Record how much of the turn's audio the client says it has played."""
        self._last_report = (played_ms, now)

    def played_ms(self, now: float) -> float:
        """Return how much the client has played, by its last report.

        For a client that sends no reports, estimate it: audio is played as soon as it arrives.
        """
        if self._last_report is not None:
            return min(self._sent_ms, self._last_report[0])
        return max(0.0, self._sent_ms - max(0.0, self._buffer_empty_at - now) * 1000)

    def buffered_ms(self, now: float) -> float:
        """Estimate how much audio the client has yet to play.

        Reports come every 250 ms. The client is assumed to have played on since the last one: a
        wait for which it has no audio left would be heard as a gap.
        """
        reported_at = self._last_report[1] if self._last_report is not None else now
        return max(0.0, self._sent_ms - self.played_ms(now) - (now - reported_at) * 1000)

    def is_playing(self, now: float) -> bool:
        """Return whether the client still has audio to play."""
        return self.buffered_ms(now) > 0

    def played_text(self, played_ms: float) -> str:
        """Return the words of the first `played_ms` of audio, by their share of each sentence."""
        played: list[str] = []
        for sentence in self.metrics.sentences:
            if played_ms <= 0:
                break
            if not sentence.audio_ms:
                continue  # it failed, and the ones after it were played
            words = sentence.text.split()
            share = min(1.0, played_ms / sentence.audio_ms)
            played += words[: round(len(words) * share)]
            played_ms -= sentence.audio_ms
        return " ".join(played)

    @property
    def _sent_ms(self) -> float:
        return sum(sentence.audio_ms for sentence in self.metrics.sentences)
