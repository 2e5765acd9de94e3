"""Stages that follow a script, for tests of the pipeline alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from app.agents.base import Agent, AgentRequest
from app.audio import PCM16_16K
from app.errors import AgentError, ProviderError
from app.pipeline.events import ClientGoneError, Event, Interrupted
from app.pipeline.playout import SpeechStyle
from app.stt.base import Transcriber, Utterance
from tests.transports.fakes import VOICE

T = TypeVar("T")

STYLE = SpeechStyle(VOICE, PCM16_16K, "ar")


@dataclass
class FakeTranscriber(Transcriber):
    """Hears what the test says it hears."""

    answer: str | ProviderError = "أين شحنتي؟"
    name: str = "fake"
    utterances: list[Utterance] = field(default_factory=list)

    async def transcribe(self, utterance: Utterance) -> str:
        self.utterances.append(utterance)
        if isinstance(self.answer, ProviderError):
            raise self.answer
        return self.answer


@dataclass
class FakeAgent(Agent):
    """Writes the pieces of its script; an error in place of a piece breaks the answer there.

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
    """Takes events as a client would, until it is `gone`; an interruption `takes_steps`."""

    events: list[Event] = field(default_factory=list)
    gone: bool = False
    takes_steps: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def emit(self, event: Event) -> None:
        if self.gone:
            raise ClientGoneError
        self.events.append(event)
        self.changed.set()
        for _ in range(self.takes_steps if isinstance(event, Interrupted) else 0):
            await asyncio.sleep(0)

    async def until(self, kind: type) -> None:
        while not self.of(kind):
            self.changed.clear()
            await self.changed.wait()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """The kinds of events in order, without repetitions in a row."""
        names = [type(event).__name__ for event in self.events]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
