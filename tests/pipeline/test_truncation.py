"""A client that says how much of an interrupted response was heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.pipeline import events
from app.pipeline.session import Session
from app.pipeline.user_input import EncodedUtterance
from tests.gateway import ARABIC_WAV
from tests.pipeline.fakes import BlockedTranscriber, FakeAgent, Recorder
from tests.pipeline.sessions import FIRST, audio_of_sentences, running_session

AUDIO_MS = 200
"""The duration of `FIRST`."""

HALF = " ".join(FIRST.split()[: round(len(FIRST.split()) / 2)])


@asynccontextmanager
async def interrupted_session(
    agent: FakeAgent, transcriber: BlockedTranscriber
) -> AsyncIterator[Session]:
    """A session whose first turn was interrupted after the audio of its only sentence."""
    recorder = Recorder()
    transport = audio_of_sentences(1)
    async with running_session(agent, transport, transcriber, recorder=recorder) as session:
        await session.start_turn("مرحبا")
        await recorder.until(events.SentenceEnded)
        await session.interrupt("client")
        yield session


@pytest.mark.parametrize(("heard_ms", "text"), [(0, ""), (AUDIO_MS / 2, HALF), (1e9, FIRST)])
async def test_the_next_request_reports_what_was_heard(heard_ms: float, text: str) -> None:
    agent = FakeAgent([f"{FIRST} ", asyncio.Event()])
    async with interrupted_session(agent, BlockedTranscriber("")) as session:
        session.truncate(1, heard_ms)
        await session.start_turn("وبعد؟")
        await agent.until_requested(2)
    assert (agent.requests[1].interrupted, agent.requests[1].played_text) == (True, text)


async def test_it_is_in_time_until_the_agent_is_asked() -> None:
    agent, transcriber = FakeAgent([f"{FIRST} ", asyncio.Event()]), BlockedTranscriber("وبعد؟")
    async with interrupted_session(agent, transcriber) as session:
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await transcriber.until_requested()
        session.truncate(1, AUDIO_MS / 2)
        transcriber.released.set()
        await agent.until_requested(2)
        session.truncate(1, 0)
    assert agent.requests[1].played_text == HALF


async def test_another_turn_is_not_cut() -> None:
    agent = FakeAgent([f"{FIRST} ", asyncio.Event()])
    async with interrupted_session(agent, BlockedTranscriber("")) as session:
        session.truncate(1, AUDIO_MS / 2)
        session.truncate(2, 0)
        await session.start_turn("وبعد؟")
        await agent.until_requested(2)
        session.truncate(2, 0)  # it runs, and was not interrupted
        await session.interrupt("client")
        session.truncate(1, 0)  # its interruption has been reported
        await session.start_turn("وبعد؟")
        await agent.until_requested(3)
    assert agent.requests[1].played_text == HALF
    assert agent.requests[2].interrupted is True
