"""Interruptions: what follows them, and what the next request reports to the agent."""

import asyncio

import pytest

from app.pipeline import events
from app.pipeline.timeline import Timeline
from app.pipeline.user_input import EncodedUtterance
from tests.gateway import ARABIC_WAV
from tests.pipeline.fakes import BlockedTranscriber, FakeAgent, Recorder
from tests.pipeline.sessions import FIRST, audio_of_sentences, running_session
from tests.transports.fakes import FakeTransport


@pytest.fixture
def half_played(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has played half of its audio, whatever the clock says."""
    monkeypatch.setattr(Timeline, "played_ms", lambda self, _: self._sent_ms / 2)


def reported(agent: FakeAgent) -> list[tuple[bool, str]]:
    """Return what each request reports of an interruption."""
    return [(request.interrupted, request.played_text) for request in agent.requests]


async def test_a_new_utterance_interrupts_the_turn_and_no_event_of_it_follows() -> None:
    agent, transport, recorder = (
        FakeAgent([f"{FIRST} ", asyncio.Event()]),
        audio_of_sentences(2),
        Recorder(),
    )
    async with running_session(agent, transport, recorder=recorder) as session:
        await session.start_turn("الأول")
        await recorder.until(events.AudioChunk)
        await session.start_turn("الثاني")
        (interrupted,) = recorder.of(events.Interrupted)
        at = recorder.events.index(interrupted)
        await recorder.until(events.SentenceStarted, 2)
        await session.interrupt("client")
    assert interrupted.turn == 1
    assert interrupted.reason == "barge_in"
    assert all(event.turn == 2 for event in recorder.events[at + 1 :])
    assert [event.reason for event in recorder.of(events.Interrupted)] == ["barge_in", "client"]
    assert agent.open == transport.open == 0


async def test_only_the_next_request_reports_what_was_played(half_played: None) -> None:
    agent, recorder = FakeAgent([f"{FIRST} ", asyncio.Event()]), Recorder()
    async with running_session(agent, audio_of_sentences(4), recorder=recorder) as session:
        await session.start_turn("الأول")
        await recorder.until(events.AudioChunk)
        await session.start_turn("الثاني")
        await agent.until_requested(2)
        agent.pieces = [FIRST]
        await session.interrupt("client")
        await session.start_turn("الثالث")
        await recorder.until(events.TurnDone)
        await session.start_turn("الرابع")
        await agent.until_requested(4)
    first, second = recorder.of(events.Interrupted)
    assert FIRST.startswith(first.played_text)
    assert first.played_text
    assert reported(agent) == [
        (False, ""),
        (True, first.played_text),
        (True, second.played_text),
        (False, ""),
    ]


async def test_an_interruption_before_any_playout_is_reported_too() -> None:
    agent, recorder = FakeAgent([asyncio.Event()]), Recorder()
    async with running_session(agent, FakeTransport([]), recorder=recorder) as session:
        await session.start_turn("الأول")
        await agent.until_requested(1)
        await session.interrupt("client")
        await session.start_turn("الثاني")
        await agent.until_requested(2)
    assert reported(agent) == [(False, ""), (True, "")]


@pytest.mark.parametrize("interrupted", [False, True])
async def test_a_turn_without_a_request_leaves_the_report_to_the_next(
    half_played: None, interrupted: bool
) -> None:
    """A noise between two utterances does not hide the interruption from the agent."""
    agent, recorder = FakeAgent([f"{FIRST} ", asyncio.Event()]), Recorder()
    transcriber = BlockedTranscriber("")
    async with running_session(
        agent, audio_of_sentences(2), transcriber, recorder=recorder
    ) as session:
        await session.start_turn("الأول")
        await recorder.until(events.AudioChunk)
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await transcriber.until_requested()
        if not interrupted:
            transcriber.released.set()
            await recorder.until(events.TurnDone)
        await session.start_turn("الثالث")
        await agent.until_requested(2)
    assert reported(agent) == [(False, ""), (True, recorder.of(events.Interrupted)[0].played_text)]
    assert agent.requests[1].played_text


async def test_interrupting_a_turn_without_a_request_is_no_interruption_of_the_agent() -> None:
    agent, recorder = FakeAgent([asyncio.Event()]), Recorder()
    transcriber = BlockedTranscriber("")
    async with running_session(agent, FakeTransport([]), transcriber, recorder=recorder) as session:
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await transcriber.until_requested()
        await session.start_turn("الثاني")
        await agent.until_requested(1)
    assert recorder.of(events.Interrupted)
    assert agent.requests[0].interrupted is False
