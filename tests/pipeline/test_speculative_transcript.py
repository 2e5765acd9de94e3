"""Speculative transcripts: requested at a pause, used if it was the end of the utterance."""

import asyncio

import pytest

from app.errors import ProviderTimeoutError
from app.pipeline import events
from tests.pipeline.fakes import BlockedTranscriber, FakeAgent, FakeTranscriber
from tests.pipeline.turn_detection import BEGIN, END, LIMIT, PAUSE, RESPONSE, RESUME, detecting
from tests.waiting import until


async def test_it_is_used_when_the_pause_was_the_end() -> None:
    transcriber = BlockedTranscriber()
    async with detecting(FakeAgent([RESPONSE]), transcriber, speculative=True) as user:
        await user.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_requested()
        await user.append_audio(END)
        transcriber.released.set()
        await user.recorder.until(events.TurnDone)
    assert user.transcribed == [b"B.xxP."]
    assert user.recorder.of(events.Transcribed)[0].text == transcriber.transcript


async def test_it_is_cancelled_when_the_speech_resumes() -> None:
    transcriber = BlockedTranscriber()
    async with detecting(FakeAgent([RESPONSE]), transcriber, speculative=True) as user:
        await user.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_requested()
        await user.append_audio(RESUME, b"yy", PAUSE)
        transcriber.released.set()
        await user.append_audio(END)
        await user.recorder.until(events.TurnDone)
    assert transcriber.cancelled == [b"B.xxP."]
    assert user.transcribed[-1] == b"B.xxP.R.yyP."


async def test_it_is_not_requested_unless_the_operator_wants_it() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        await user.append_audio(BEGIN, b"xx", PAUSE)
        await asyncio.sleep(0)
        assert user.transcribed == []


async def test_one_that_fails_is_requested_again_by_the_turn() -> None:
    transcriber = FakeTranscriber(ProviderTimeoutError("late"))
    async with detecting(FakeAgent([RESPONSE]), transcriber, speculative=True) as user:
        await user.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_requested()
        transcriber.transcript = "أين شحنتي؟"
        await user.append_audio(END)
        await user.recorder.until(events.TurnDone)
    assert user.transcribed == [b"B.xxP.", b"B.xxP.E."]
    assert not user.recorder.of(events.Failed)


async def test_it_is_not_used_for_an_utterance_that_is_cut() -> None:
    transcriber = BlockedTranscriber()
    async with detecting(FakeAgent([RESPONSE]), transcriber, speculative=True) as user:
        transcriber.released.set()
        await user.append_audio(BEGIN, b"xx", PAUSE, b"yy", LIMIT)
        await user.recorder.until(events.TurnDone)
    assert user.transcribed[-1] == b"B.xxP.yyL."


@pytest.mark.parametrize("ending", ["disconnect", "barge-in", "turn detection off"])
async def test_it_is_cancelled_with_what_it_was_requested_for(ending: str) -> None:
    transcriber = BlockedTranscriber()
    async with detecting(FakeAgent([RESPONSE]), transcriber, speculative=True) as user:
        await user.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_requested()
        if ending == "barge-in":
            await user.append_audio(END, BEGIN)
        elif ending == "turn detection off":
            user.session.stop_turn_detection()
        if ending != "disconnect":
            await until(lambda: bool(transcriber.cancelled), state=transcriber)
    assert transcriber.cancelled == [b"B.xxP."]


async def test_that_of_a_turn_that_has_started_outlives_the_turn_detection() -> None:
    transcriber = BlockedTranscriber()
    async with detecting(FakeAgent([RESPONSE]), transcriber, speculative=True) as user:
        await user.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_requested()
        await user.append_audio(END)
        user.session.stop_turn_detection()
        transcriber.released.set()
        await user.recorder.until(events.TurnDone)
    assert user.recorder.of(events.Transcribed)
