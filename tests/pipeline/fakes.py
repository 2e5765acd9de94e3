"""Fakes for tests of the pipeline: a transcriber and an agent with a script, and a client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from app.agents.base import Agent, AgentRequest
from app.audio import PCM16_16K
from app.errors import AgentError, ProviderError
from app.pipeline.events import ClientGoneError, Event, Interrupted
from app.pipeline.session_config import SpeechStyle
from app.stt.base import Transcriber, Utterance
from tests.transports.fakes import VOICE
from tests.waiting import until

T = TypeVar("T")

STYLE = SpeechStyle(VOICE, PCM16_16K, "ar")

EVENT_TIMEOUT_S = 30.0
"""Longest wait for an event: a guard against hangs, not a measure."""


@dataclass
class FakeTranscriber(Transcriber):
    """Returns its transcript, or raises the error in its place."""

    transcript: str | ProviderError = "أين شحنتي؟"
    name: str = "fake"
    utterances: list[Utterance] = field(default_factory=list)

    async def transcribe(self, utterance: Utterance) -> str:
        self.utterances.append(utterance)
        return self._result()

    def _result(self) -> str:
        if isinstance(self.transcript, ProviderError):
            raise self.transcript
        return self.transcript

    async def until_requested(self, times: int = 1) -> None:
        await until(lambda: len(self.utterances) >= times, state=self)


@dataclass
class BlockedTranscriber(FakeTranscriber):
    """Waits until it is `released`; records the requests that were cancelled meanwhile."""

    released: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: list[bytes] = field(default_factory=list)

    async def transcribe(self, utterance: Utterance) -> str:
        self.utterances.append(utterance)
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled.append(utterance.pcm)
            raise
        return self._result()


@dataclass
class FakeAgent(Agent):
    """Writes the pieces of its script; an error in place of a piece ends the response there.

    An event in place of a piece is waited for.
    """

    pieces: list[str | AgentError | asyncio.Event]
    name: str = "fake"
    requests: list[AgentRequest] = field(default_factory=list)
    open: int = 0

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        self.requests.append(request)
        self.open += 1
        try:
            yield self._write()
        finally:
            self.open -= 1

    async def until_requested(self, times: int = 1) -> None:
        await until(lambda: len(self.requests) >= times, state=self)

    async def _write(self) -> AsyncIterator[str]:
        for piece in self.pieces:
            if isinstance(piece, AgentError):
                raise piece
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                yield piece


@dataclass
class Recorder:
    """Records events as a client, until it is `gone`; `Interrupted` takes `interrupt_steps`."""

    events: list[Event] = field(default_factory=list)
    gone: bool = False
    interrupt_steps: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def emit(self, event: Event) -> None:
        if self.gone:
            raise ClientGoneError
        self.events.append(event)
        self.changed.set()
        for _ in range(self.interrupt_steps if isinstance(event, Interrupted) else 0):
            await asyncio.sleep(0)

    async def until(self, kind: type, times: int = 1) -> None:
        """Wait for an event of this kind, or the n-th of them. Raise `AssertionError` if late."""
        try:
            async with asyncio.timeout(EVENT_TIMEOUT_S):
                while len(self.of(kind)) < times:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} after {self.kinds}") from None

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """The kinds of events in order, without repetitions in a row."""
        names = [type(event).__name__ for event in self.events]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
