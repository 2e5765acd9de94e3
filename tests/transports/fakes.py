"""Transports that follow a script, for tests of what is built on transports."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Self, cast

import pytest

from app.audio import PCM16_16K, AudioFormat
from app.errors import ConnectionLostError, ProviderError
from app.pool.terms import LeaseTerms
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import (
    Attempt,
    AudioStream,
    Speech,
    SpeechRequest,
    SpeechSynthesizer,
    TrailingAudio,
    TTSTransport,
    Urgency,
)
from app.transports.bounded_stream import BoundedStream
from app.transports.policy import Policy, StreamLimits
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


async def chunks_of(stream: "AudioStream | OneAttempt") -> list[bytes]:
    return [chunk async for chunk in stream]


async def audio_before_error(transport: TTSTransport, kind: type[ProviderError]) -> bytes:
    """Make an attempt that must fail with an error of `kind`; return the audio before it."""
    received = b""
    with pytest.raises(kind):
        async with OneAttempt(transport) as attempt:
            async for chunk in attempt:
                received += chunk
    return received


async def speak(
    transport: TTSTransport | SpeechSynthesizer, request: SpeechRequest | None = None
) -> bytes:
    """Return the whole audio of one sentence; of a transport alone, that of one attempt."""
    request = request or speech_request()
    if isinstance(transport, TTSTransport):
        async with OneAttempt(transport, request) as attempt:
            return b"".join([chunk async for chunk in attempt])
    async with transport.synthesize(request, Urgency()) as speech:
        return b"".join(await chunks_of(speech))


async def attempts_of(
    synthesizer: SpeechSynthesizer,
    request: SpeechRequest | None = None,
    fails: type[ProviderError] | None = None,
) -> list[Attempt]:
    """Speak a sentence, which must fail with an error of this type if any; return its attempts."""
    speech = synthesizer.synthesize(request or speech_request(), Urgency())
    with pytest.raises(fails) if fails else nullcontext():
        async with speech:
            assert await chunks_of(speech)
    return list(speech.attempts)


class FakeSpeech(Speech):
    """The audio of a stream as it is: one attempt, judged by nobody."""

    def __init__(self, context: AbstractAsyncContextManager[AudioStream], transport: str) -> None:
        self.attempts = [Attempt(transport)]
        self._context = context
        self._stream: AudioStream | None = None

    @property
    def trailing(self) -> TrailingAudio | None:  # type: ignore[override]
        return self._stream.trailing if self._stream is not None else None

    async def __aenter__(self) -> Self:
        try:
            self._stream = await self._context.__aenter__()
        except ProviderError as error:
            self.attempts[0].fault = error.code
            raise
        self.format = self._stream.format
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        await self._context.__aexit__(kind, error, None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert self._stream is not None
        async for chunk in self._stream:
            if self.attempts[0].ttfb_ms is None:
                self.attempts[0].ttfb_ms = 0.0
                self.attempts[0].delivered = True
            yield chunk


@dataclass
class PlainSynthesizer(SpeechSynthesizer):
    """Speaks over one transport, with none of what makes transports reliable."""

    transport: TTSTransport
    name: str = "plain"

    def synthesize(self, request: SpeechRequest, urgency: Urgency) -> Speech:
        terms = LeaseTerms(urgency=urgency)
        return FakeSpeech(self.transport.synthesize(request, terms), self.transport.name)

    async def warm_up(self) -> None:
        await self.transport.warm_up()


class OneAttempt:
    """One attempt over a transport, within its limits, and judged by nobody."""

    def __init__(
        self,
        transport: TTSTransport,
        request: SpeechRequest | None = None,
        limits: StreamLimits | None = None,
        terms: LeaseTerms | None = None,
    ) -> None:
        self.record = Attempt(transport.name)
        self.metrics = SpeechMetrics()
        self._first = b""
        self._stream = BoundedStream(
            transport,
            request or speech_request(),
            terms or LeaseTerms(),
            limits or cast("StreamLimits", getattr(transport, "limits", StreamLimits(5, 5))),
            record=self.record,
            metrics=self.metrics,
        )

    @property
    def format(self) -> AudioFormat:
        return self._stream.format

    @property
    def trailing(self) -> TrailingAudio | None:
        return self._stream.trailing

    async def __aenter__(self) -> Self:
        self._first = await self._stream.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        await self._stream.release(error)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        while chunk := await self._stream.next():
            yield chunk


class FakeStream(AudioStream):
    def __init__(self, steps: list[Step], trailing: TrailingAudio | None) -> None:
        self.format = PCM16_16K
        self.connection = "new"
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
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        steps = self.scripts[len(self.texts)]
        self.texts.append(request.text)
        self.open += 1
        try:
            if steps and isinstance(steps[0], ProviderError):
                raise steps[0]
            yield FakeStream(steps, self.trailing)
        except BaseException as error:
            self.left_by.append(type(error))
            raise
        else:
            self.left_by.append(None)
        finally:
            self.open -= 1

    async def warm_up(self, connections: int = 1) -> None:
        self.warmed += connections

    async def aclose(self) -> None:
        self.closed = True


def resilient(*transports: FakeTransport, policy: Policy = QUICK) -> ResilientTransport:
    return ResilientTransport(transports, policy)
