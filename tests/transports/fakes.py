"""Transports that follow a script, for tests of what is built on transports."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.audio import PCM16_16K
from app.errors import ConnectionLostError, ProviderError
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from app.transports.policy import Policy
from app.transports.resilient import ResilientTransport
from app.types import Voice

VOICE = Voice("Majd", "ksa")

Step = bytes | ProviderError | asyncio.Event
"""Audio, an error in its place, or something to wait for."""

SPEECH = array("h", range(-16000, 16000)).tobytes() * 2
"""Four seconds, different everywhere."""

COMPLETE: list[Step] = [SPEECH[at : at + 12800] for at in range(0, len(SPEECH), 12800)]
TRUNCATED: list[Step] = [SPEECH[:640]]
"""The provider's 640-byte failure: a regular end after 20 ms."""

LOST = ConnectionLostError("gone")
QUICK = Policy(backoff_base_s=0.001, backoff_cap_s=0.002)


def speech_request(text: str = "السلام عليكم ورحمة الله") -> SpeechRequest:
    return SpeechRequest(text, VOICE, PCM16_16K)


async def chunks_of(stream: AudioStream) -> list[bytes]:
    return [chunk async for chunk in stream]


async def speak(transport: TTSTransport, request: SpeechRequest | None = None) -> bytes:
    """Return the whole audio of one sentence."""
    async with transport.synthesize(request or speech_request()) as stream:
        return b"".join(await chunks_of(stream))


class FakeStream(AudioStream):
    def __init__(self, steps: list[Step], trailing: TrailingAudio | None) -> None:
        self.format = PCM16_16K
        self.trailing = None
        self._steps = steps
        self._trailing = trailing

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if isinstance(step, ProviderError):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step
        self.trailing = self._trailing


@dataclass
class FakeTransport(TTSTransport):
    """Speaks the n-th request by the n-th script."""

    scripts: list[list[Step]]
    name: str = "fake"
    trailing: TrailingAudio | None = None
    texts: list[str] = field(default_factory=list)
    open: int = 0
    left_by: list[type[BaseException] | None] = field(default_factory=list)
    """The exceptions by which the contexts were left."""
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


def resilient(*transports: FakeTransport, policy: Policy = QUICK) -> ResilientTransport:
    return ResilientTransport(transports, policy)
