"""The text-to-speech strategy: one sentence goes in, its audio comes out as it is made."""

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
    """What one attempt at a sentence did: the record that metrics and log lines are made of.

    Compared by identity: attempts that race look alike until something has come of them.
    """

    transport: str
    started_at: float = 0.0
    """When it began, on the loop's clock in seconds."""
    connection: Literal["new", "reused"] | None = None
    ttfb_ms: float | None = None
    """Request sent to first audio byte."""
    total_ms: float | None = None
    """Begin to end of the attempt, the wait for a socket included."""
    fault: str | None = None
    """The code of the error that ended the attempt; None when it succeeded."""
    delivered: bool = False
    """Whether its audio was heard."""
    metrics: SpeechMetrics = field(default_factory=SpeechMetrics)
    """Where it is counted."""
    _sent_at: float = 0.0

    def mark_sent(self, connection: Literal["new", "reused"] | None) -> None:
        """Record that the request goes out, and on what, if that is known."""
        self.connection = connection
        self._sent_at = _now()

    def log(self, chars: int) -> None:
        """Write the one line that tells this attempt."""
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
        """Record that the first audio is there."""
        self.ttfb_ms = (_now() - self._sent_at) * 1000


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A sentence to be spoken.

    `text` has 1 to 2,000 characters (the provider's limit). `format` is asked for, not promised:
    the stream says what came.
    """

    text: str
    voice: Voice
    format: AudioFormat
    language: Language = "ar"
    needed_now: asyncio.Event | None = field(default=None, compare=False)
    """Set when its turn to be heard has come; None when it has. One that is made ahead can wait
    rather than cost a socket."""
    attempts: list[Attempt] = field(default_factory=list, compare=False)
    """The record of all attempts, the last one last; every transport adds its own."""
    metrics: SpeechMetrics = field(default_factory=SpeechMetrics, compare=False)
    """Where its attempts are counted."""

    @contextmanager
    def attempt(self, transport: str) -> Iterator[Attempt]:
        """Keep the record of one more attempt, for metrics and for one log line.

        An attempt for which nothing could be leased was none, and leaves no record.
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
    """Audio of an answer that comes after its end.

    It is played if its turn has not passed, else counted. `wait_s` bounds how long anybody waits.
    """

    def __init__(self, wait_s: float, metrics: SpeechMetrics) -> None:
        self._metrics = metrics
        self._wait_s = wait_s
        self._chunks: list[bytes] = []
        self._passed = False
        self._closed = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Take a piece that came late."""
        if self._passed:
            self._metrics.late_audio_bytes += len(data)
        else:
            self._chunks.append(data)

    def close(self) -> None:
        """Learn that no more can come."""
        self._closed.set()

    def drain(self) -> bytes:
        """Return what came so far, and count from now on: the next sentence begins."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._passed = True
        return data

    async def wait_closed(self) -> None:
        """Wait until no more can come."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._closed.wait()
        except TimeoutError:
            self.close()


class AudioStream(ABC):
    """Audio of one sentence as it arrives: headerless, sample-aligned, never empty.

    Iterating raises a `ProviderError` where the answer fails.
    """

    format: AudioFormat
    attempt: Attempt | None = None
    """The record of the attempt that this is."""
    trailing: TrailingAudio | None = None
    """After the end: where audio that comes late is found, if this transport can have any."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the audio, once."""


class TTSTransport(ABC):
    """A way to the provider, or a composition of ways."""

    name: str

    @abstractmethod
    def synthesize(self, request: SpeechRequest) -> AbstractAsyncContextManager[AudioStream]:
        """Speak one sentence.

        Entering the context returns when the first audio is there, so `format` is known; it
        raises a `ProviderError` when none comes. Leaving the context, however it is left, gives
        the resources back: an unfinished answer is abandoned. It may be left by another task than
        the one that entered it.
        """

    async def warm_up(self) -> None:
        """Open what the first request would otherwise wait for."""

    async def aclose(self) -> None:
        """Give up all connections."""


def _now() -> float:
    return asyncio.get_running_loop().time()
