"""The TTS strategy: text of one sentence in, its audio out while it is being made."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

import structlog

from app.audio import AudioFormat
from app.errors import NabraError, PoolExhaustedError
from app.telemetry.speech_metrics import SpeechMetrics
from app.types import Language, Voice

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Attempt:
    """The record of one attempt at a sentence, for metrics and the log.

    Compared by identity: attempts that race are equal in every field at first.
    """

    transport: str
    started_at: float = 0.0
    """When it began, in seconds on the loop's clock."""
    connection: Literal["new", "reused"] | None = None
    """Whether its connection had carried a request before; None without a connection."""
    ttfb_ms: float | None = None
    """Request sent to first audio byte."""
    total_ms: float | None = None
    """Start to end of the attempt, with the wait for a connection."""
    fault: str | None = None
    """The code of the error that ended the attempt; None if there was none."""
    delivered: bool = False
    """Whether any of its audio was passed on to the session."""
    metrics: SpeechMetrics = field(default_factory=SpeechMetrics)
    """Where it is counted."""
    _sent_at: float = 0.0

    def mark_sent(self, connection: Literal["new", "reused"] | None) -> None:
        """Record that the request is being sent; `connection` is None if it is not known yet."""
        self.connection = connection
        self._sent_at = _now()

    def log(self, chars: int) -> None:
        """Write the log line of this attempt; `chars` is the length of its text."""
        log.info(
            "attempt",
            transport=self.transport,
            connection=self.connection,
            chars=chars,
            ttfb_ms=None if self.ttfb_ms is None else round(self.ttfb_ms),
            total_ms=None if self.total_ms is None else round(self.total_ms),
            fault=self.fault,
        )

    def mark_first_byte(self) -> None:
        """Record that the first audio has arrived."""
        self.ttfb_ms = (_now() - self._sent_at) * 1000


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A sentence to be spoken."""

    text: str
    """1 to 2,000 characters, the provider's limit."""
    voice: Voice
    format: AudioFormat
    """The preferred format; the stream may have another one."""
    language: Language = "ar"
    needed_now: asyncio.Event | None = field(default=None, compare=False)
    """Set when playout reaches this sentence; None: it is needed from the start. Until then the
    request is a prefetch, which waits for a free socket rather than open one."""
    attempts: list[Attempt] = field(default_factory=list, compare=False)
    """All attempts in order of their start. Every transport adds its own."""
    metrics: SpeechMetrics = field(default_factory=SpeechMetrics, compare=False)
    """Where its attempts are counted."""

    @contextmanager
    def attempt(self, transport: str) -> Iterator[Attempt]:
        """Record one more attempt, for the metrics and for one log line.

        An error that leaves the context is recorded as the attempt's fault. Attempts that got no
        connection are not counted.
        """
        outcome = "abandoned"
        attempt = Attempt(transport, started_at=_now(), metrics=self.metrics)
        self.attempts.append(attempt)
        try:
            yield attempt
            outcome = "none"
        except PoolExhaustedError:
            self.attempts.remove(attempt)
            raise
        except NabraError as error:
            outcome = attempt.fault = error.code
            raise
        finally:
            attempt.total_ms = (_now() - attempt.started_at) * 1000
            if attempt in self.attempts:
                self.metrics.attempts[transport, outcome] += 1
                attempt.log(len(self.text))


class TrailingAudio:
    """Audio of a sentence that arrives after its regular end.

    It is played if the next sentence has not begun, else counted as late. `wait_s` bounds how long
    `wait_closed` waits.
    """

    def __init__(self, wait_s: float, metrics: SpeechMetrics) -> None:
        self._metrics = metrics
        self._wait_s = wait_s
        self._chunks: list[bytes] = []
        self._is_drained = False
        self._closed = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Take a chunk; count it as late after `drain`."""
        if self._is_drained:
            self._metrics.late_audio_bytes += len(data)
        else:
            self._chunks.append(data)

    def close(self) -> None:
        """Note that no more audio will come."""
        self._closed.set()

    def drain(self) -> bytes:
        """Return the audio that has arrived; what comes later is counted as late."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._is_drained = True
        return data

    async def wait_closed(self) -> None:
        """Wait until no more audio will come, for `wait_s` seconds at most."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._closed.wait()
        except TimeoutError:
            self.close()


class AudioStream(ABC):
    """The audio of one sentence in chunks as they arrive: no header, sample-aligned, none empty.

    Iterating raises a `ProviderError` when the stream fails.
    """

    format: AudioFormat
    attempt: Attempt | None = None
    """The record of the attempt that this stream belongs to."""
    trailing: TrailingAudio | None = None
    """Set at the end of the stream if the transport can have audio after it."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the audio, once."""


class TTSTransport(ABC):
    """Turns text into speech, by one route or by a composition of several."""

    name: str

    @abstractmethod
    def synthesize(self, request: SpeechRequest) -> AbstractAsyncContextManager[AudioStream]:
        """Speak one sentence.

        Entering the context returns when the first audio is there, so that `format` is known. It
        raises a `ProviderError` when there is none.

        Leaving the context releases all resources, and abandons a stream that has not ended. A
        task other than the one that entered may leave it.
        """

    async def warm_up(self) -> None:
        """Open the connections that the first request would otherwise wait for."""

    def is_usable(self, now: float) -> bool:
        """Tell whether a request may succeed, as far as is known; `now` is the loop's time."""
        return True

    async def aclose(self) -> None:
        """Close all connections."""


def _now() -> float:
    return asyncio.get_running_loop().time()
