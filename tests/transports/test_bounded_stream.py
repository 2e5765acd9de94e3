"""A stranger's transport within all limits: whatever it does, its attempt ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import errors
from app.audio import PCM16_16K
from app.transports import bounded_stream
from app.transports.base import AudioStream, LeaseTerms, SpeechRequest, TTSTransport, Urgency
from app.transports.policy import Policy, StreamLimits
from app.transports.resilient import ResilientTransport
from tests import virtual_time
from tests.transports.fakes import (
    COMPLETE,
    SPEECH,
    FakeTransport,
    OneAttempt,
    audio_before_error,
    chunks_of,
    speak,
    speech_request,
)

LIMITS = StreamLimits(first_audio_timeout_s=0.03, stall_timeout_s=0.02, release_timeout_s=0.02)
POLICY = Policy(attempts=6, deadline_s=1, backoff_base_s=0.001, streams=LIMITS)

Chunks = Callable[[], AsyncGenerator[bytes, None]]


class StrangeStream(AudioStream):
    format = PCM16_16K

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks()


class Stranger(TTSTransport):
    """A transport of somebody who knows nothing of limits, errors or alignment."""

    name = "stranger"

    def __init__(self, chunks: Chunks) -> None:
        self.limits = LIMITS
        self.closed = 0
        self._chunks = chunks

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        try:
            yield StrangeStream(self._chunks)
        finally:
            self.closed += 1


async def nothing() -> AsyncGenerator[bytes, None]:
    await asyncio.Event().wait()
    yield b""


async def stalls() -> AsyncGenerator[bytes, None]:
    yield SPEECH[:12_800]
    await asyncio.Event().wait()


async def empty_chunks() -> AsyncGenerator[bytes, None]:
    while True:
        yield b""
        await asyncio.sleep(0.001)


async def raises() -> AsyncGenerator[bytes, None]:
    yield SPEECH[:12_800]
    raise KeyError("voice")


async def raises_at_once() -> AsyncGenerator[bytes, None]:
    raise KeyError("voice")
    yield b""


async def cancels_itself() -> AsyncGenerator[bytes, None]:
    yield SPEECH[:12_800]
    raise asyncio.CancelledError


async def endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield bytes(320_000)
        await asyncio.sleep(0)


async def no_bytes() -> AsyncGenerator[Any, None]:
    yield "audio"


STRANGERS = [nothing, stalls, empty_chunks, raises, raises_at_once, cancels_itself]


@pytest.mark.parametrize(
    ("chunks", "kind", "received"),
    [
        (nothing, errors.ProviderTimeoutError, 0),
        (empty_chunks, errors.ProviderTimeoutError, 0),
        (stalls, errors.ProviderTimeoutError, 12_800),
        (raises, errors.StrategyFailedError, 12_800),
        (raises_at_once, errors.StrategyFailedError, 0),
        (cancels_itself, errors.StrategyFailedError, 12_800),
        (no_bytes, errors.StrategyFailedError, 0),
    ],
)
async def test_whatever_a_transport_does_ends_its_attempt_with_an_error_of_ours(
    chunks: Chunks, kind: type[errors.ProviderError], received: int
) -> None:
    stranger = Stranger(chunks)
    assert len(await audio_before_error(stranger, kind)) == received
    assert stranger.closed == 1


async def test_audio_that_no_text_can_take_is_an_error() -> None:
    assert await audio_before_error(Stranger(endless), errors.ProtocolError)


@pytest.mark.parametrize("chunks", STRANGERS)
async def test_the_fallback_finishes_what_a_stranger_began(chunks: Chunks) -> None:
    transport = ResilientTransport([Stranger(chunks), FakeTransport([COMPLETE] * 6)], POLICY)
    assert await speak(transport) == SPEECH


@pytest.mark.parametrize("chunks", STRANGERS)
async def test_without_a_fallback_the_error_is_told_and_the_next_sentence_is_tried(
    chunks: Chunks,
) -> None:
    stranger = Stranger(chunks)
    transport = ResilientTransport([stranger], POLICY)
    for _ in range(2):
        with pytest.raises(errors.ProviderError):
            await speak(transport)
    assert stranger.closed >= 2


async def test_chunks_of_any_length_are_aligned_once() -> None:
    async def odd() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(SPEECH), 12_801):
            yield SPEECH[at : at + 12_801]

    async with OneAttempt(Stranger(odd)) as attempt:
        chunks = await chunks_of(attempt)
    assert all(len(chunk) % 2 == 0 for chunk in chunks)
    assert b"".join(chunks) == SPEECH


def test_audio_that_comes_more_slowly_than_it_plays_ends_the_attempt() -> None:
    async def trickles() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"\x01\x00"
            await asyncio.sleep(1.5)

    async def seconds() -> float:
        limits = StreamLimits()
        attempt = OneAttempt(Stranger(trickles), speech_request("نعم"), limits)
        with pytest.raises(errors.ProviderTimeoutError, match="more slowly than it plays"):
            async with attempt:
                await chunks_of(attempt)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(seconds()) == pytest.approx(3 + 13, abs=2)


async def test_a_slow_reader_is_no_fault_of_the_transport() -> None:
    async def regular() -> AsyncGenerator[bytes, None]:
        for part in COMPLETE:
            assert isinstance(part, bytes)
            yield part

    async with OneAttempt(Stranger(regular)) as attempt:
        received = b""
        async for chunk in attempt:
            received += chunk
            if len(received) < 30_000:
                await asyncio.sleep(1.5 * LIMITS.stall_timeout_s)
    assert received == SPEECH


class Careless(Stranger):
    """Fails, or hangs, when it is left."""

    def __init__(self, leave: Callable[[], Any]) -> None:
        super().__init__(nothing)
        self._leave = leave

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        async def whole() -> AsyncGenerator[bytes, None]:
            yield SPEECH

        try:
            yield StrangeStream(whole)
        finally:
            await self._leave()


async def fails() -> None:
    raise KeyError("session")


@pytest.mark.parametrize("leave", [fails, asyncio.Event().wait])
async def test_what_goes_wrong_after_the_audio_harms_nobody(leave: Callable[[], Any]) -> None:
    transport = ResilientTransport([Careless(leave)], POLICY)
    assert await speak(transport) == SPEECH


async def test_a_call_that_raises_before_there_is_a_context_is_a_failed_attempt() -> None:
    class NoContext(TTSTransport):
        name = "no context"

        def synthesize(
            self, request: SpeechRequest, terms: LeaseTerms
        ) -> AbstractAsyncContextManager[AudioStream]:
            raise KeyError("settings")

    transport = ResilientTransport([NoContext(), FakeTransport([COMPLETE])], POLICY)
    speech = transport.synthesize(speech_request(), Urgency())
    async with speech:
        assert b"".join(await chunks_of(speech)) == SPEECH
    assert [attempt.fault for attempt in speech.attempts] == ["provider-failed", None]


async def test_the_traceback_of_a_defect_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_stream, "_logged", set())
    with capture_logs() as logs:
        for _ in range(2):
            await audio_before_error(Stranger(raises), errors.StrategyFailedError)
    lines = [line for line in logs if line["event"] == "transport failed"]
    assert [line["error"] for line in lines] == ["KeyError", "KeyError"]
    assert [line["exc_info"] is None for line in lines] == [False, True]


async def test_a_cancelled_attempt_is_no_failure_and_releases_all() -> None:
    stranger = Stranger(stalls)
    task = asyncio.create_task(speak(ResilientTransport([stranger], Policy())))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert stranger.closed == 1
