"""The trace of one turn: made when it ends, of what was measured anyway.

    turn
    ├── transcription     of a spoken turn
    ├── agent             the parent of what the agent records
    └── sentence          one for each
        └── attempt       one for each request for it

So a trace costs nothing while the turn runs, but for the two spans that must be known before.
"""

import asyncio
import time
from collections.abc import Mapping

from app.errors import AgentError, NabraError
from app.pipeline.timeline import SentenceMetrics, TurnMetrics
from app.pipeline.turn_outcome import TurnOutcome
from app.telemetry.request_ids import Origin
from app.telemetry.tracing import Span, Tracer, current_trace_id
from app.transports.base import Attempt

Values = dict[str, str | int | float | bool]


class TurnTrace:
    """Begins with the turn, and becomes the current one of this task and those it starts."""

    def __init__(
        self,
        tracer: Tracer,
        metrics: TurnMetrics,
        origin: Origin,
        *,
        session_id: str,
        turn: int,
        is_spoken: bool,
    ) -> None:
        self._metrics = metrics
        self._is_spoken = is_spoken
        self._values: Values = {
            "session.id": session_id,
            "nabra.turn": turn,
            "nabra.request": origin.turn_id(turn),
        }
        self._epoch_s = time.time() - _now()
        """The zero of the loop's clock, in seconds since 1970."""
        begin_s = self._epoch_s + metrics.started_at
        self._span = tracer.begin("turn", begin_s, cause=origin.traceparent)
        self._agent: Span | None = None
        self._agent_name = ""
        self.trace_id = self._span.trace_id
        if self._span.is_recorded:
            current_trace_id.set(self.trace_id)

    def begin_agent(self, name: str) -> dict[str, str]:
        """Note that the agent is asked now; return the header that makes it a part of the trace."""
        self._agent_name = name
        self._agent = self._span.begin("agent", "client", self._epoch_s + _now())
        return {"traceparent": self._agent.traceparent}

    def end(self, outcome: TurnOutcome) -> None:
        """End the turn, and add all its parts."""
        if not self._span.is_recorded:
            return
        now, cause = _now(), outcome.cause if outcome.is_failure else None
        if self._is_spoken:
            self._add_transcription(now, cause if self._agent is None else None)
        if self._agent is not None:
            self._add_agent(self._agent, now, cause if isinstance(cause, AgentError) else None)
        for sentence in self._metrics.sentences:
            self._add_sentence(sentence, now)
        silent = "the response holds nothing to speak" if outcome.is_failure else None
        values = {
            **self._values,
            "nabra.outcome": outcome.name,
            "nabra.sentences": len(self._metrics.sentences),
            **_latencies(self._metrics),
            **_failure_values(cause),
        }
        self._span.end(self._epoch_s + now, values, failure=_reason(cause) or silent)

    def _add_transcription(self, now: float, error: NabraError | None) -> None:
        """Add the wait for the transcript, with the decoding of a recording.

        It begins when the utterance counts as ended; one that was requested before, for a pause, is
        shown by what was still to wait for.
        """
        begin_s = self._after(self._metrics.endpointing_ms or 0.0, now)
        span = self._span.begin("transcription", "client", begin_s)
        end_s = self._after(self._metrics.stt_ms, now)
        span.end(end_s, _failure_values(error), failure=_reason(error))

    def _add_agent(self, span: Span, now: float, error: NabraError | None) -> None:
        values = {"nabra.agent": self._agent_name, **_failure_values(error)}
        end_s = self._after(self._metrics.agent_done_ms, now)
        span.end(end_s, values, failure=_reason(error))

    def _add_sentence(self, sentence: SentenceMetrics, now: float) -> None:
        span = self._span.begin("sentence", "internal", self._epoch_s + sentence.started_at)
        for attempt in sentence.attempts:
            self._add_attempt(span, attempt, now)
        values: Values = {
            "nabra.sentence": sentence.index,
            "nabra.chars": len(sentence.text),
            "nabra.audio_ms": round(sentence.audio_ms),
            "nabra.result": sentence.result or "interrupted",
            **_failure_values(sentence.error),
        }
        ended_at = now if sentence.ended_at is None else sentence.ended_at
        span.end(self._epoch_s + ended_at, values, failure=_reason(sentence.error))

    def _add_attempt(self, sentence: Span, attempt: Attempt, now: float) -> None:
        span = sentence.begin("attempt", "client", self._epoch_s + attempt.started_at)
        values = {
            "nabra.transport": attempt.transport,
            "nabra.outcome": attempt.outcome or "abandoned",
            "nabra.connection": attempt.connection,
            "nabra.ttfb_ms": _rounded(attempt.ttfb_ms),
            "nabra.upstream_request_id": attempt.request_id,
            "error.type": attempt.fault,
            "server.address": attempt.host,
        }
        total_s = None if attempt.total_ms is None else attempt.total_ms / 1000
        end_s = self._epoch_s + (now if total_s is None else attempt.started_at + total_s)
        failure = None if attempt.fault is None else f"{attempt.fault}: {attempt.reason}"
        span.end(end_s, _known(values), failure=failure)

    def _after(self, ms: float | None, now: float) -> float:
        """Return when a stage ended, by its time since the turn's beginning; if it did not, now."""
        at = now if ms is None else self._metrics.started_at + ms / 1000
        return self._epoch_s + at


def _latencies(metrics: TurnMetrics) -> Values:
    """Return those of the turn's log line, by the same names."""
    return _known(
        {
            "nabra.endpointing_ms": _rounded(metrics.endpointing_ms),
            "nabra.stt_ms": _rounded(metrics.stt_ms),
            "nabra.agent_first_token_ms": _rounded(metrics.agent_first_token_ms),
            "nabra.first_sentence_ms": _rounded(metrics.first_sentence_ms),
            "nabra.first_audio_ms": _rounded(metrics.first_audio_ms),
        }
    )


def _failure_values(error: NabraError | None) -> Values:
    if error is None:
        return {}
    return _known(
        {
            "error.type": error.code,
            "server.address": error.host,
            "nabra.upstream_request_id": error.request_id,
        }
    )


def _reason(error: NabraError | None) -> str | None:
    return None if error is None else f"{error.code}: {error}"


def _known(values: Mapping[str, str | int | None]) -> Values:
    return {name: value for name, value in values.items() if value is not None}


def _rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)


def _now() -> float:
    return asyncio.get_running_loop().time()
