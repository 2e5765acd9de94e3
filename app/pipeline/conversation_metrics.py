"""What the turns of all sessions came to, and how long their stages took, for Prometheus.

Almost all is counted once a turn, when it ends.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import get_args

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app import errors
from app.audio import AudioFormat
from app.pipeline.timeline import SENTENCE_RESULTS, TurnMetrics
from app.pipeline.turn_outcome import OUTCOMES, TurnOutcome
from app.pipeline.turn_taking import InterruptReason
from app.telemetry.counts import Labels, counter_metric, gauge_metric
from app.telemetry.histogram import Histogram, histogram_metric, labeled_histogram_metric

TTS = "tts"

STAGES_OF_ERRORS: Mapping[type[errors.NabraError], str] = {
    errors.BadInputError: "input",
    errors.DecoderBusyError: "input",
    errors.NoSpeechError: "stt",
    errors.ProviderError: "stt",
    errors.AgentError: "agent",
    errors.InternalError: "internal",
    errors.SessionExpiredError: "session",
}
"""Where it was that an error ended a turn or a session. One of TTS ends a sentence only."""

TURN_ERRORS = (
    errors.EmptyAudioError,
    errors.UndecodableAudioError,
    errors.UtteranceTooLongError,
    errors.UsageLimitError,
    errors.DecoderBusyError,
    errors.NoSpeechError,
    errors.ProviderError,
    errors.AgentError,
    errors.InternalError,
    errors.SessionExpiredError,
)
"""What can end a turn; the others refuse a message."""

STAGES = ("endpointing", "stt", "agent", "sentence", "speech")

STAGE_BUCKETS_S = (
    *(0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25),
    *(1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 40.0),
)
"""Finest where a conversation is decided: people respond after 200 ms, and after 1 s it is felt."""

OVERHEAD_BUCKETS_S = (
    *(0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005),
    *(0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0),
)
"""`bench overhead` measures 1 to 3 ms, with two hops; a gateway at its limit adds far more."""


class ConversationMetrics(Collector):
    """Counts for all sessions. Shows every known value of a label from the start."""

    def __init__(self) -> None:
        self.errors: Counter[Labels] = Counter(dict.fromkeys(_known_errors(), 0))
        """Errors that clients were told, by stage and code."""
        self.turns: Counter[Labels] = Counter(dict.fromkeys(OUTCOMES, 0))
        """Ended turns by outcome: the code of the error, if one ended it."""
        self.turns.update(dict.fromkeys(chain(*map(errors.codes_below, TURN_ERRORS)), 0))
        self.sentences: Counter[Labels] = Counter(dict.fromkeys(SENTENCE_RESULTS, 0))
        self.interruptions: Counter[Labels] = Counter(dict.fromkeys(get_args(InterruptReason), 0))
        """By reason; a response that is complete, but still played, can be interrupted, too."""
        self.audio_s: dict[Labels, float] = {"in": 0.0, "out": 0.0}
        self.audio_bytes: Counter[Labels] = Counter({"in": 0, "out": 0})
        self.sessions: Counter[Labels] = Counter()
        """Open sessions by protocol."""
        self.sessions_opened: Counter[Labels] = Counter()
        self._stages_s = {stage: Histogram(STAGE_BUCKETS_S) for stage in STAGES}
        self._first_audio_s = Histogram(STAGE_BUCKETS_S)
        self._overhead_s = Histogram(OVERHEAD_BUCKETS_S)

    def add_protocol(self, protocol: str) -> None:
        """Show a client protocol from the start."""
        self.sessions[protocol] += 0
        self.sessions_opened[protocol] += 0

    @contextmanager
    def session(self, protocol: str) -> Iterator[None]:
        """Count a session while it is open."""
        self.sessions[protocol] += 1
        self.sessions_opened[protocol] += 1
        try:
            yield
        finally:
            self.sessions[protocol] -= 1

    def on_audio_in(self, size: int, seconds: float) -> None:
        """Count audio of a client, in the encoding in which it came."""
        self.audio_bytes["in"] += size
        self.audio_s["in"] += seconds

    def on_error(self, error: errors.NabraError) -> None:
        """Count an error that a client is told: of a message, a turn or a session."""
        stages = (stage for kind, stage in STAGES_OF_ERRORS.items() if isinstance(error, kind))
        self.errors[next(stages, "internal"), error.code] += 1

    def on_turn_end(self, outcome: TurnOutcome, turn: TurnMetrics, format: AudioFormat) -> None:
        """Count a turn that has ended; `format` is that of its speech."""
        self.turns[outcome.name] += 1
        if outcome.cause is not None and outcome.name not in OUTCOMES:
            self.on_error(outcome.cause)
        for sentence in turn.sentences:
            if sentence.error is not None:
                self.errors[TTS, sentence.error.code] += 1
            if sentence.result is not None:
                self.sentences[sentence.result] += 1
        seconds = sum(sentence.audio_ms for sentence in turn.sentences) / 1000
        self.audio_s["out"] += seconds
        self.audio_bytes["out"] += round(seconds * format.bytes_per_second)
        self._observe_latencies(turn)

    def _observe_latencies(self, turn: TurnMetrics) -> None:
        ends_ms = (
            turn.endpointing_ms,
            turn.stt_ms,
            turn.agent_first_token_ms,
            turn.first_sentence_ms,
            turn.first_audio_ms,
        )
        before_ms = 0.0
        for stage, end_ms in zip(STAGES, ends_ms, strict=True):
            if end_ms is not None:
                self._stages_s[stage].observe(max(0.0, end_ms - before_ms) / 1000)
                before_ms = end_ms
        if turn.first_audio_ms is not None:
            self._first_audio_s.observe(turn.first_audio_ms / 1000)
        if turn.overhead_ms is not None:
            self._overhead_s.observe(turn.overhead_ms / 1000)

    def collect(self) -> Iterator[Metric]:
        """Show all to Prometheus."""
        for name, documentation, labels, counts in (
            ("turns", "Ended turns", ["outcome"], self.turns),
            ("errors", "Errors that clients were told", ["stage", "code"], self.errors),
            ("sentences", "Sentences by what was heard of them", ["result"], self.sentences),
            ("interruptions", "Responses that were interrupted", ["reason"], self.interruptions),
            ("audio_seconds", "Audio from and to clients", ["direction"], self.audio_s),
            ("audio_bytes", "Audio from and to clients", ["direction"], self.audio_bytes),
            ("sessions_opened", "Sessions since the start", ["protocol"], self.sessions_opened),
        ):
            yield counter_metric(f"nabra_{name}", documentation, labels, counts)
        yield gauge_metric("nabra_sessions", "Open sessions", ["protocol"], self.sessions)
        yield labeled_histogram_metric(
            "nabra_turn_stage_seconds",
            "Time of a stage, from the end of the one before",
            "stage",
            self._stages_s,
        )
        yield histogram_metric(
            "nabra_first_audio_seconds",
            "End of the user's utterance to first audio of the response",
            self._first_audio_s,
        )
        yield histogram_metric(
            "nabra_gateway_overhead_seconds",
            "First audio of a response, from the provider to the client",
            self._overhead_s,
        )


def _known_errors() -> Iterator[tuple[str, str]]:
    """Yield every stage with every code of an error that it can have."""
    for kind, stage in STAGES_OF_ERRORS.items():
        for code in errors.codes_below(kind):
            yield stage, code
    for code in errors.codes_below(errors.ProviderError):
        yield TTS, code
