"""Detected speech: the turns it starts, and the responses it interrupts."""

import asyncio
import tracemalloc

import pytest

from app.audio import PCM16_16K
from app.errors import UnsupportedConfigurationError
from app.pipeline import events
from app.pipeline.user_input import EncodedUtterance
from tests.pipeline.fakes import FakeAgent, FakeTranscriber, Recorder
from tests.pipeline.sessions import running_session
from tests.pipeline.turn_detection import BEGIN, END, LIMIT, PAUSE, RESPONSE, detecting
from tests.transports.fakes import FakeTransport
from tests.waiting import until


async def test_an_utterance_becomes_a_turn() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        await user.append_audio(BEGIN, b"xx", END)
        await user.recorder.until(events.TurnDone)
    assert user.recorder.kinds[:4] == [
        "UserSpeechStarted",
        "UserSpeechStopped",
        "Status",
        "Transcribed",
    ]
    assert user.transcribed == [b"B.xxE."]
    metrics = user.recorder.of(events.TurnDone)[0].metrics
    assert metrics.endpointing_ms == 500
    assert metrics.stt_ms is not None
    assert metrics.stt_ms >= 500, "latencies count from the end of speech, not of the silence"


async def test_speech_during_a_response_interrupts_it_before_anything_else() -> None:
    async with detecting(FakeAgent([f"{RESPONSE} ", asyncio.Event()])) as user:
        await user.session.start_turn("مرحبا")
        await user.recorder.until(events.AudioChunk)
        await user.append_audio(BEGIN)
        assert user.recorder.kinds[-2:] == ["Interrupted", "UserSpeechStarted"]
        await asyncio.sleep(0)
        await user.append_audio(b"xx", END)
        await user.agent.until_requested(2)
        after = user.recorder.kinds[user.recorder.kinds.index("Interrupted") :]
    assert after[:3] == ["Interrupted", "UserSpeechStarted", "UserSpeechStopped"]
    assert user.agent.requests[1].interrupted
    assert user.detector.during_response[0] is True


async def test_a_response_that_is_still_played_is_interrupted_though_its_turn_is_done() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        await user.session.start_turn("مرحبا")
        await user.recorder.until(events.TurnDone)  # a second of audio, sent at once
        user.session.on_playback_report(1, 500)
        await user.append_audio(BEGIN, END)
        await user.agent.until_requested(2)
    (interrupted,) = user.recorder.of(events.Interrupted)
    assert (interrupted.turn, interrupted.played_ms) == (1, 500)
    words = RESPONSE.split()
    assert interrupted.played_text == " ".join(words[: round(len(words) / 2)])
    assert user.agent.requests[1].played_text == interrupted.played_text


async def test_a_response_that_was_played_to_its_end_is_not_interrupted() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        await user.session.start_turn("مرحبا")
        await user.recorder.until(events.TurnDone)
        user.session.on_playback_report(1, 1000)
        await user.append_audio(BEGIN, END)
        await user.agent.until_requested(2)
    assert not user.recorder.of(events.Interrupted)
    assert user.agent.requests[1].interrupted is False
    assert user.detector.during_response == [False, False]


async def test_playback_reports_on_another_turn_are_ignored() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        await user.session.start_turn("مرحبا")
        await user.recorder.until(events.TurnDone)
        user.session.on_playback_report(7, 1000)
        assert user.session.is_responding


async def test_endless_speech_is_cut_and_the_reason_is_reported() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        await user.append_audio(BEGIN, b"xx", PAUSE, b"yy", LIMIT)
        await user.recorder.until(events.TurnDone)
    assert user.recorder.of(events.UserSpeechStopped)[0].reason == "limit"


async def test_the_client_may_end_the_utterance() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        assert await user.session.commit() is False
        await user.append_audio(BEGIN, b"xx")
        assert await user.session.commit() is True
        await user.recorder.until(events.TurnDone)
    assert user.recorder.of(events.UserSpeechStopped)[0].reason == "client"


@pytest.mark.parametrize(("frames", "slices"), [(1, 5), (50, 50)])
async def test_much_audio_at_once_is_processed_in_slices(frames: int, slices: int) -> None:
    """Ten minutes at once, in one frame or in many, must not hold up other sessions."""
    async with detecting(FakeAgent([RESPONSE])) as user:
        processed: list[int] = []

        async def other_session() -> None:
            while True:
                processed.append(len(user.detector.during_response))
                await asyncio.sleep(0)

        task = asyncio.create_task(other_session())
        for _ in range(frames):
            await user.session.append_audio(bytes(PCM16_16K.bytes_per_second // frames))
        task.cancel()
    assert len(user.detector.during_response) == slices
    assert len(processed) >= 4


@pytest.mark.parametrize(
    ("transcript", "by_voice"), [("أين شحنتي؟", True), ("", True), ("", False)]
)
async def test_the_audio_of_a_turn_is_released_when_it_is_done(
    transcript: str, by_voice: bool
) -> None:
    """A session is idle for most of its time, and an utterance may be megabytes."""
    size = 5_000_000
    async with detecting(FakeAgent([RESPONSE]), FakeTranscriber(transcript)) as user:
        tracemalloc.start()
        try:
            await user.session.start_turn(EncodedUtterance(bytes(size)))
            await user.recorder.until(events.TurnDone)
            user.recorder.events.clear()
            if by_voice:
                await user.append_audio(BEGIN, bytes(size), END)
                await user.recorder.until(events.TurnDone)
                user.recorder.events.clear()
            user.transcriber.utterances.clear()
            user.detector.utterance = b""
            user.session.on_playback_report(2, 1000)
            await until(lambda: not user.session.is_responding, state=user.recorder)
            await user.append_audio(b"silence")
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept < size / 2


async def test_a_gateway_without_vad_refuses_turn_detection() -> None:
    async with running_session(FakeAgent([]), FakeTransport([]), recorder=Recorder()) as session:
        with pytest.raises(UnsupportedConfigurationError):
            await session.start_turn_detection(PCM16_16K)
