"""An utterance that goes on before the agent was requested is one with its first part."""

import asyncio

import pytest

from app.audio import PCM16_16K
from app.pipeline import events
from tests.pipeline.fakes import BlockedTranscriber, FakeAgent
from tests.pipeline.turn_detection import BEGIN, END, RESPONSE, detecting
from tests.waiting import until


async def test_both_parts_are_one_utterance() -> None:
    """A user who pauses for too long does not get a response to half a question."""
    transcriber = BlockedTranscriber()
    async with detecting(FakeAgent([RESPONSE]), transcriber) as user:
        await user.append_audio(BEGIN, b"11", END)
        await transcriber.until_requested()
        await user.append_audio(BEGIN, b"22", END)
        transcriber.released.set()
        await user.recorder.until(events.TurnDone)
    assert user.transcribed[-1] == b"B.11E.B.22E."
    assert len(user.agent.requests) == 1
    assert user.agent.requests[0].interrupted is False
    assert len(user.recorder.of(events.Interrupted)) == 1


@pytest.mark.parametrize("steps", range(6))
async def test_neither_part_is_lost_when_the_transcript_comes_at_the_same_moment(
    steps: int,
) -> None:
    """Either the agent is requested, and the interruption reported, or both parts are one."""
    transcriber = BlockedTranscriber()
    async with detecting(FakeAgent([asyncio.Event()]), transcriber) as user:
        user.recorder.interrupt_steps = 5
        await user.append_audio(BEGIN, b"11", END)
        await transcriber.until_requested()
        transcriber.released.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        await user.append_audio(BEGIN, b"22", END)
        await user.until_transcribing(2)
        await user.agent.until_requested(1 if b"11" in user.transcribed[-1] else 2)
    interrupted = [request.interrupted for request in user.agent.requests]
    assert (user.transcribed[-1], interrupted) in (
        (b"B.11E.B.22E.", [False]),
        (b"B.22E.", [False, True]),
    )


async def test_an_utterance_that_goes_on_and_on_is_cut_at_the_limit() -> None:
    transcriber = BlockedTranscriber()
    seven_samples_s = 7 / PCM16_16K.sample_rate_hz
    async with detecting(
        FakeAgent([RESPONSE]), transcriber, max_utterance_s=seven_samples_s
    ) as user:
        for number, part in enumerate((b"11", b"22", b"33"), start=1):
            await user.append_audio(BEGIN, part, END)
            await transcriber.until_requested(number)
        transcriber.released.set()
        await user.recorder.until(events.TurnDone)
    assert user.transcribed == [b"B.11E.", b"B.11E.B.22E.", b"B.11E.B.22E.B."]
    stops = [event.reason for event in user.recorder.of(events.UserSpeechStopped)]
    assert stops == ["silence", "silence", "limit"]


async def test_an_utterance_after_the_agent_was_requested_is_another() -> None:
    async with detecting(FakeAgent([asyncio.Event()])) as user:
        await user.append_audio(BEGIN, b"11", END)
        await user.agent.until_requested(1)
        await user.append_audio(BEGIN, b"22", END)
        await user.agent.until_requested(2)
    assert user.transcribed == [b"B.11E.", b"B.22E."]
    assert user.agent.requests[1].interrupted


async def test_an_utterance_is_not_merged_over_a_typed_turn() -> None:
    async with detecting(FakeAgent([RESPONSE])) as user:
        await user.append_audio(BEGIN, b"11", END)
        await user.recorder.until(events.TurnDone)
        await user.session.start_turn("مرحبا")
        await user.append_audio(BEGIN, b"22", END)
        await until(lambda: len(user.transcribed) == 2, state=user)
    assert user.transcribed[-1] == b"B.22E."
