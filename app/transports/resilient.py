"""Decides what an answer is worth: a transport made of transports."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from app import errors
from app.transports import completeness
from app.transports.base import AudioStream, LateAudio, SpeechRequest, TTSTransport

log = structlog.get_logger(__name__)

HOLD_BACK_MS = 40.0
"""Audio kept back until more proves the attempt alive: twice the provider's 20 ms failure."""


class ResilientTransport(TTSTransport):
    """Tries `transports` in turn, at most `attempts` times, until one answer proves itself.

    Nothing of an attempt that failed is ever heard: the first audio is held back until the next
    frame proves it alive, and an answer that ends too short for its text is an error.
    """

    name = "resilient"

    def __init__(self, transports: Sequence[TTSTransport], *, attempts: int) -> None:
        self._transports = transports
        self._attempts = attempts

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        """Speak one sentence. Raises the last attempt's error when all fail."""
        async with AsyncExitStack() as stack:
            stream = await self._prove(request, stack)
            yield stream

    async def warm_up(self) -> None:
        """Warm all ways up."""
        for transport in self._transports:
            await transport.warm_up()

    async def aclose(self) -> None:
        """Close all ways."""
        for transport in self._transports:
            await transport.aclose()

    async def _prove(self, request: SpeechRequest, stack: AsyncExitStack) -> AudioStream:
        """Return the first stream that proves itself; `stack` then holds what it needs."""
        for number in range(1, self._attempts + 1):
            transport = self._transports[(number - 1) % len(self._transports)]
            try:
                async with AsyncExitStack() as trial:
                    stream = ProvenStream(
                        request.text, await trial.enter_async_context(transport.synthesize(request))
                    )
                    await stream.prove()
                    await stack.enter_async_context(trial.pop_all())
                    return stream
            except errors.ProviderError as error:
                log.warning(
                    "attempt failed", transport=transport.name, attempt=number, code=error.code
                )
                if not error.retryable or number == self._attempts:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")


class ProvenStream(AudioStream):
    """Holds the first audio back, and judges the whole at its end."""

    def __init__(self, text: str, inner: AudioStream) -> None:
        self.format = inner.format
        self._inner = inner
        self._chunks = aiter(inner)
        self._least_ms = completeness.least_ms(text)
        self._held: list[bytes] = []
        self._bytes = 0
        self._ended = False

    @property
    def late(self) -> LateAudio | None:  # type: ignore[override]
        """Where audio that comes late is found."""
        return self._inner.late

    async def prove(self) -> None:
        """Hold audio back until it outlasts the provider's failure, or is whole."""
        while not self._ended and self.format.duration_ms(self._bytes) <= HOLD_BACK_MS:
            if chunk := await self._next():
                self._held.append(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._held:
            yield chunk
        self._held.clear()
        while chunk := await self._next():
            yield chunk

    async def _next(self) -> bytes:
        """Wait for the next chunk; empty at the end. Raises `IncompleteAudioError` if too early."""
        if self._ended:
            return b""
        chunk = await anext(self._chunks, b"")
        self._bytes += len(chunk)
        if not chunk:
            self._ended = True
            heard_ms = self.format.duration_ms(self._bytes)
            if heard_ms < self._least_ms:
                raise errors.IncompleteAudioError(
                    f"{heard_ms:.0f} ms of audio for a text that needs {self._least_ms:.0f} ms"
                )
        return chunk
