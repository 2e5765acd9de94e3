"""The text-to-speech strategy: one sentence goes in, its audio comes out as it is made."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from app.audio import AudioFormat
from app.errors import NabraError

Dialect = Literal[
    "pls", "egy", "syr", "irq", "jor", "leb", "ksa", "uae", "bah", "qat", "kuw", "oma",
    "msa", "ar-sa", "en",
]  # fmt: skip
"""The dialects that the vendor documents. (Speakers are not listed: the catalogue grows.)"""

Language = Literal["ar", "en"]
"""Languages of speech and of the texts that people read."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, and in which dialect."""

    speaker: str
    dialect: Dialect


@dataclass(slots=True)
class Attempt:
    """What one attempt at a sentence did: the record that metrics and log lines are made of."""

    transport: str
    connection: Literal["new", "reused"] | None = None
    ttfb_ms: float | None = None
    """Request sent to first audio byte."""
    total_ms: float | None = None
    """Begin to end of the attempt, the wait for a socket included."""
    fault: str | None = None
    """The code of the error that ended the attempt; None when it succeeded."""
    _sent_at: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Record how long the attempt takes, and what goes wrong."""
        started_at = _now()
        try:
            yield
        except NabraError as error:
            self.fault = error.code
            raise
        finally:
            self.total_ms = (_now() - started_at) * 1000

    def sent(self, connection: Literal["new", "reused"]) -> None:
        """Record that the request goes out, and on what."""
        self.connection = connection
        self._sent_at = _now()

    def heard(self) -> None:
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
    attempts: list[Attempt] = field(default_factory=list, compare=False)
    """The record of all attempts, the last one last; every transport adds its own."""

    def attempt(self, transport: str) -> Attempt:
        """Begin the record of one more attempt."""
        self.attempts.append(Attempt(transport))
        return self.attempts[-1]


class LateAudio:
    """Audio of an answer that comes after its end.

    It is played if its turn has not passed, else counted. `wait_s` bounds how long anybody waits.
    """

    def __init__(self, wait_s: float) -> None:
        self.missed_bytes = 0
        """Audio that came when its turn had passed."""
        self._wait_s = wait_s
        self._chunks: list[bytes] = []
        self._passed = False
        self._closed = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Take a piece that came late."""
        if self._passed:
            self.missed_bytes += len(data)
        else:
            self._chunks.append(data)

    def close(self) -> None:
        """Learn that no more can come."""
        self._closed.set()

    def take(self) -> bytes:
        """Return what came so far, and count from now on: the next sentence begins."""
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._passed = True
        return data

    async def settled(self) -> None:
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
    late: LateAudio | None = None
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
        the resources back: an unfinished answer is abandoned.
        """

    async def warm_up(self) -> None:
        """Open what the first request would otherwise wait for."""

    async def aclose(self) -> None:
        """Give up all connections."""


def _now() -> float:
    return asyncio.get_running_loop().time()
