"""What all attempts at one sentence share: the request, their records, and what was delivered."""

import asyncio

import structlog

from app import errors
from app.audio import AudioFormat
from app.pool.terms import LeaseTerms, Urgency
from app.telemetry.request_ids import upstream_id
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
        self.delivered_over: Route | None = None
        """The route that delivered last."""
        self.format: AudioFormat | None = None
        """Format of the delivered audio; other attempts are converted to it."""
        self.refusals: dict[str, errors.ProviderError] = {}
        """Final errors by provider: it has no other answer to this sentence."""
        self.last_route: Route | None = None
        """The route of the attempt that began last."""
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
        self.last_route = route
        return BoundedStream(
            route.transport,
            self.request,
            terms,
            self._policy.streams,
            record=record,
            metrics=self._metrics,
        )

    def accepts(self, route: Route) -> bool:
        """Return whether the provider of a route has not refused the sentence."""
        return route.provider not in self.refusals

    def end(
        self,
        record: Attempt,
        error: BaseException | None,
        *,
        is_complete: bool = True,
        is_news: bool = True,
    ) -> None:
        """Complete a record, for the metrics and for one log line.

        Attempts that got no connection are not counted. One that was cancelled has not failed, and
        neither has one that is not complete, as another was selected. What is no news, since the
        transport is known to be down, is logged at debug.
        """
        if isinstance(error, errors.PoolExhaustedError):
            self.records.remove(record)
            return
        record.total_ms = (asyncio.get_running_loop().time() - record.started_at) * 1000
        failure = error if isinstance(error, errors.NabraError) else None
        record.outcome = "done" if error is None and is_complete else "abandoned"
        if failure is not None:
            record.outcome, record.fault = "failed", failure.code
            record.reason, record.host = str(failure), failure.host
            record.request_id = failure.request_id or record.request_id
        label = record.fault or ("none" if record.outcome == "done" else record.outcome)
        self._metrics.on_attempt(record.transport, label, record.ttfb_ms)
        write = log.info if is_news else log.debug
        write(
            "attempt",
            transport=record.transport,
            outcome=record.outcome,
            connection=record.connection,
            chars=len(self.request.text),
            ttfb_ms=None if record.ttfb_ms is None else round(record.ttfb_ms),
            total_ms=round(record.total_ms),
            fault=record.fault,
            **({} if failure is None else {"reason": record.reason, "host": record.host}),
            **upstream_id(record.request_id),
        )

    def buffer_for(self, route: Route, format: AudioFormat) -> AttemptBuffer:
        """Return the buffer of an attempt that begins now; `format` is that of its audio.

        Another provider's voice is faster or slower: it has reached the same words at another time.
        """
        if self.delivered_over is None:
            return HoldBackBuffer(format)
        before, after = self.delivered_over.ms_per_char, route.ms_per_char
        position = self.delivered_bytes
        if before and after and route.provider != self.delivered_over.provider:
            samples = position // format.bytes_per_sample
            position = int(samples * after / before) * format.bytes_per_sample
        return ContinuationSplice(format, position, self.last_chunk)

    def on_delivered(self, route: Route, position: int, chunk: bytes) -> None:
        """Note that audio up to `position` bytes was passed on."""
        self.delivered_over, self.delivered_bytes, self.last_chunk = route, position, chunk
