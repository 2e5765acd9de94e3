"""Transports that follow a script, for tests of what is built on transports."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.audio import PCM16_16K
from app.errors import ProviderError
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from app.types import Voice

VOICE = Voice("Majd", "ksa")


def request(text: str = "السلام عليكم ورحمة الله") -> SpeechRequest:
    return SpeechRequest(text, VOICE, PCM16_16K)


Step = bytes | ProviderError | asyncio.Event
"""Audio, an error in its place, or something to wait for."""


class FakeStream(AudioStream):
    def __init__(self, steps: list[Step], trailing: TrailingAudio | None) -> None:
        self.format = PCM16_16K
        self.trailing = None
        self._steps = steps
        self._late = trailing

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if isinstance(step, ProviderError):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step
        self.trailing = self._late


@dataclass
class FakeTransport(TTSTransport):
    """Answers the n-th request by the n-th script: audio, or an error in its place."""

    scripts: list[list[Step]]
    name: str = "fake"
    trailing: TrailingAudio | None = None
    texts: list[str] = field(default_factory=list)
    open: int = 0
    left_by: list[type[BaseException] | None] = field(default_factory=list)
    warmed: int = 0
    closed: bool = False

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        steps = self.scripts[len(self.texts)]
        self.texts.append(request.text)
        self.open += 1
        try:
            with request.attempt(self.name) as attempt:
                if steps and isinstance(steps[0], ProviderError):
                    raise steps[0]
                if steps and isinstance(steps[0], asyncio.Event):
                    await steps[0].wait()
                attempt.mark_sent("new")
                attempt.mark_first_byte()
                stream = FakeStream(steps, self.trailing)
                stream.attempt = attempt
                yield stream
        except BaseException as error:
            self.left_by.append(type(error))
            raise
        else:
            self.left_by.append(None)
        finally:
            self.open -= 1

    async def warm_up(self) -> None:
        self.warmed += 1

    async def aclose(self) -> None:
        self.closed = True
