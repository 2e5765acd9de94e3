"""The TTS strategy: text of one sentence in, its audio out while it is being made.

A `TTSTransport` is one way to a provider, and knows no other. A `SpeechSynthesizer` is what the
pipeline uses: it speaks every sentence whole, by as many attempts over transports as that takes.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Self

from app.audio import AudioFormat, SampleAligner
from app.pool.terms import LeaseTerms, Urgency
from app.telemetry.speech_metrics import SpeechMetrics
from app.text.speakable import speakable_chars
from app.transports.completeness import (
    MAX_MS_PER_CHAR,
    max_expected_duration_ms,
    min_expected_duration_ms,
)
from app.types import Language, Voice

__all__ = [
    "Attempt",
    "AudioStream",
    "LeaseTerms",
    "Speech",
    "SpeechRequest",
    "SpeechSynthesizer",
    "TTSTransport",
    "TrailingAudio",
    "Urgency",
]


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
    """Request sent to first audio byte; the wait for a connection of a pool does not count."""
    first_audio_at: float | None = None
    """When its first audio was here, in seconds on the loop's clock."""
    total_ms: float | None = None
    """Start to end of the attempt, with the wait for a connection."""
    fault: str | None = None
    """The code of the error that ended the attempt; None if there was none."""
    reason: str | None = None
    """What the error says."""
    host: str | None = None
    """Who failed, where that is known."""
    outcome: Literal["done", "failed", "abandoned"] | None = None
    """How it ended; None while it runs."""
    request_id: str | None = None
    """The provider's own id of the request, where it sends one."""
    delivered: bool = False
    """Whether any of its audio was passed on to the session."""


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A sentence to be spoken."""

    text: str
    """1 to 2,000 characters, the provider's limit."""
    voice: Voice
    format: AudioFormat
    """The preferred format; the stream may have another one."""
    language: Language = "ar"
    speakable_chars: int = field(default=-1, compare=False)
    """How many characters of the text are pronounced; counted here unless it is given."""
    max_ms_per_char: float = field(default=MAX_MS_PER_CHAR, compare=False)
    """Longest audio for each of these characters, in milliseconds."""
    min_duration_ms: float = field(init=False, compare=False)
    """The shortest duration, in milliseconds, at which audio of this text is complete."""
    max_duration_ms: float = field(init=False, compare=False)
    """The duration, in milliseconds, that audio of this text can never exceed."""

    def __post_init__(self) -> None:
        chars = self.speakable_chars
        if chars < 0:
            chars = speakable_chars(self.text)
            object.__setattr__(self, "speakable_chars", chars)
        object.__setattr__(self, "min_duration_ms", min_expected_duration_ms(chars))
        longest_ms = max_expected_duration_ms(chars, self.max_ms_per_char)
        object.__setattr__(self, "max_duration_ms", longest_ms)


class TrailingAudio:
    """Audio of a sentence that arrives after its regular end.

    It is played if the next sentence has not begun, else counted as late. `wait_s` bounds how long
    `wait_closed` waits.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._metrics: SpeechMetrics | None = None
        self._aligner: SampleAligner | None = None
        self._chunks: list[bytes] = []
        self._is_drained = False
        self._closed = asyncio.Event()

    def follow(self, aligner: SampleAligner, metrics: SpeechMetrics) -> None:
        """Go on where a stream ended: half a sample may be left of it in `aligner`."""
        self._aligner, self._metrics = aligner, metrics

    def put(self, data: bytes) -> None:
        """Take a chunk, of any length; count it as late after `drain`."""
        if not self._is_drained:
            self._chunks.append(data)
        elif self._metrics is not None:
            self._metrics.late_audio_bytes += len(data)

    def close(self) -> None:
        """Note that no more audio will come."""
        self._closed.set()

    def drain(self) -> bytes:
        """Return the whole samples that have arrived; what comes later is counted as late."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._is_drained = True
        return data if self._aligner is None else self._aligner.feed(data)

    async def wait_closed(self) -> None:
        """Wait until no more audio will come, for `wait_s` seconds at most."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._closed.wait()
        except TimeoutError:
            self.close()


class AudioStream(ABC):
    """The audio of one sentence in chunks as they arrive, without a header, of any length.

    A chunk may end within a sample; whoever reads the stream aligns it. Iterating raises a
    `ProviderError` when the stream fails.
    """

    format: AudioFormat
    """Of the audio; final when the first chunk has been iterated over."""
    connection: Literal["new", "reused"] | None = None
    """Whether the connection had carried a request before; None if that is not known, or if it was
    leased from a pool, which tells it."""
    request_id: str | None = None
    """The provider's own id of the request, where it sends one."""
    trailing: TrailingAudio | None = None
    """Set at the end of the stream if the transport can have audio after it."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the audio, once."""


class TTSTransport(ABC):
    """Turns text into speech, by one way to one provider.

    It need not bound, retry, align or judge anything, nor keep records: whoever calls it does.
    """

    name: str
    provider: str = ""
    """Whose service it is: what refuses one of its transports refuses all. By default its name."""

    @abstractmethod
    def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AbstractAsyncContextManager[AudioStream]:
        """Speak one sentence.

        The request may be sent when the context is entered, or when the stream is iterated over.
        Either raises a `ProviderError` when there is no audio. `terms` are for a transport that
        leases from a `ConnectionPool`, which takes them as its argument.

        Leaving the context releases all resources, and abandons a stream that has not ended. A
        task other than the one that entered may leave it.
        """

    async def warm_up(self, connections: int = 1) -> None:
        """Open the connections that the first requests would otherwise wait for."""

    def is_usable(self, now: float) -> bool:
        """Tell whether a request may succeed, as far as is known; `now` is the loop's time."""
        return True

    async def aclose(self) -> None:
        """Close all connections."""


class Speech(AudioStream):
    """A sentence that is spoken whole: the context of its audio, and the records of its attempts.

    Entering it returns when the first audio is there, and raises a `ProviderError` when there is
    none. Leaving it releases all resources. Its chunks are sample-aligned, and none is empty.
    """

    attempts: Sequence[Attempt] = ()
    """All attempts in the order of their start; grows while the sentence is spoken."""

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Wait for the first audio."""

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        """Release all resources; abandon audio that has not been iterated over."""


class SpeechSynthesizer(ABC):
    """Speaks every sentence whole, by as many attempts as that takes."""

    name: str

    @abstractmethod
    def synthesize(self, request: SpeechRequest, urgency: Urgency) -> Speech:
        """Speak one sentence, as soon as its context is entered."""

    async def warm_up(self) -> None:
        """Open the connections that the first request would otherwise wait for."""

    def is_usable(self, now: float) -> bool:
        """Tell whether a sentence may succeed, as far as is known; `now` is the loop's time."""
        return True
