"""What all attempts at one sentence share: the request, their records, and what was delivered."""

import asyncio

import structlog

from app import errors
from app.audio import AudioFormat
from app.pool.terms import LeaseTerms, Urgency
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import Attempt, SpeechRequest
from app.transports.bounded_stream import BoundedStream
from app.transports.hold_back import AttemptBuffer, ContinuationSplice, HoldBackBuffer
from app.transports.policy import Policy
from app.transports.route import Route

log = structlog.get_logger(__name__)


class SentenceAttempts:
    """All attempts at one sentence: begins and ends them, and keeps their records."""

    def __init__(
        self,
        request: SpeechRequest,
        *,
        urgency: Urgency | None = None,
        policy: Policy | None = None,
        metrics: SpeechMetrics | None = None,
    ) -> None:
        self.request = request
        self.records: list[Attempt] = []
        """In the order of their start."""
        self.delivered_bytes = 0
        """Audio that was passed on, by whichever attempts."""
        self.last_chunk = b""
        self.format: AudioFormat | None = None
        """Format of the delivered audio."""
        self._urgency = urgency or Urgency()
        self._policy = policy or Policy()
        self._metrics = metrics or SpeechMetrics()

    def begin(self, route: Route) -> BoundedStream:
        """Record one more attempt, and return its stream."""
        failures = sum(record.fault is not None for record in self.records)
        wait = self._policy.socket_wait(route.role, failures)
        terms = LeaseTerms(
            wait.timeout_s, self._policy.acquire.prefetch_s, wait.allow_connect, self._urgency
        )
        record = Attempt(route.transport.name, started_at=asyncio.get_running_loop().time())
        self.records.append(record)
        return BoundedStream(
            route.transport,
            self.request,
            terms,
            self._policy.streams,
            record=record,
            metrics=self._metrics,
        )

    def end(self, record: Attempt, error: BaseException | None) -> None:
        """Complete a record, for the metrics and for one log line.

        Attempts that got no connection are not counted. One that was cancelled has not failed.
        """
        if isinstance(error, errors.PoolExhaustedError):
            self.records.remove(record)
            return
        record.total_ms = (asyncio.get_running_loop().time() - record.started_at) * 1000
        outcome = "none" if error is None else "abandoned"
        if isinstance(error, errors.NabraError):
            outcome = record.fault = error.code
        self._metrics.attempts[record.transport, outcome] += 1
        log.info(
            "attempt",
            transport=record.transport,
            connection=record.connection,
            chars=len(self.request.text),
            ttfb_ms=None if record.ttfb_ms is None else round(record.ttfb_ms),
            total_ms=round(record.total_ms),
            fault=record.fault,
        )

    def buffer_for(self, format: AudioFormat) -> AttemptBuffer:
        """Return the buffer of an attempt that begins now.

        Raises `ProtocolError` when its format differs from that of the delivered audio.
        """
        if not self.delivered_bytes:
            return HoldBackBuffer(format)
        if format != self.format:
            raise errors.ProtocolError(f"{format} cannot continue {self.format}")
        return ContinuationSplice(format, self.delivered_bytes, self.last_chunk)
