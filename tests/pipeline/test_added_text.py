"""Text that is added without asking for a response, and the turn that it joins."""

import asyncio

import pytest

from app.errors import EmptyTextError, TextTooLongError
from app.pipeline import events
from app.pipeline.session import Session
from app.pipeline.user_input import EncodedUtterance
from tests.gateway import ARABIC_WAV
from tests.pipeline.fakes import BlockedTranscriber, FakeAgent, FakeTranscriber, Recorder
from tests.pipeline.sessions import FIRST, audio_of_sentences, running_session

MAX_CHARS = 20


def add(session: Session, text: str) -> None:
    session.add_text(text, max_chars=MAX_CHARS)


async def test_it_begins_no_turn_until_a_response_is_asked_for() -> None:
    agent, recorder = FakeAgent([FIRST]), Recorder()
    async with running_session(agent, audio_of_sentences(1), recorder=recorder) as session:
        add(session, "رقمي 7")
        add(session, "أين شحنتي؟")
        assert session.turn_count == 0
        await session.respond()
        await recorder.until(events.TurnDone)
        with pytest.raises(EmptyTextError):
            await session.respond()
    assert [request.text for request in agent.requests] == ["رقمي 7\nأين شحنتي؟"]


async def test_it_joins_a_turn_that_is_spoken() -> None:
    agent, recorder = FakeAgent([FIRST]), Recorder()
    transcriber = FakeTranscriber("أين هي؟")
    transport = audio_of_sentences(1)
    async with running_session(agent, transport, transcriber, recorder=recorder) as session:
        add(session, "شحنة 7")
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await recorder.until(events.TurnDone)
    assert [request.text for request in agent.requests] == ["شحنة 7\nأين هي؟"]
    assert [event.text for event in recorder.of(events.Transcribed)] == ["أين هي؟"]


async def test_it_outlives_a_turn_that_is_interrupted_before_the_agent_is_asked() -> None:
    agent, recorder = FakeAgent([FIRST]), Recorder()
    transcriber = BlockedTranscriber("أين هي؟")
    transport = audio_of_sentences(1)
    async with running_session(agent, transport, transcriber, recorder=recorder) as session:
        add(session, "شحنة 7")
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await transcriber.until_requested()
        add(session, "من جدة")
        await session.interrupt("client")
        transcriber.released.set()
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await recorder.until(events.TurnDone)
    assert [request.text for request in agent.requests] == ["شحنة 7\nمن جدة\nأين هي؟"]


async def test_it_outlives_a_turn_in_which_nothing_was_said() -> None:
    agent, recorder = FakeAgent([FIRST]), Recorder()
    transport, transcriber = audio_of_sentences(1), FakeTranscriber("")
    async with running_session(agent, transport, transcriber, recorder=recorder) as session:
        add(session, "شحنة 7")
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await recorder.until(events.TurnDone)
        await session.respond()
        await recorder.until(events.TurnDone, 2)
    assert [request.text for request in agent.requests] == ["شحنة 7"]


async def test_the_text_of_a_typed_turn_that_is_interrupted_is_gone() -> None:
    agent, recorder = FakeAgent([asyncio.Event()]), Recorder()
    async with running_session(agent, audio_of_sentences(0), recorder=recorder) as session:
        add(session, "الأول")
        await session.respond()
        add(session, "الثاني")
        await session.respond()
        await agent.until_requested()
    assert [request.text for request in agent.requests] == ["الثاني"]


async def test_it_is_bounded_until_the_agent_is_asked() -> None:
    transcriber = BlockedTranscriber("أين هي؟")
    agent, recorder = FakeAgent([FIRST]), Recorder()
    transport = audio_of_sentences(1)
    async with running_session(agent, transport, transcriber, recorder=recorder) as session:
        add(session, "x" * (MAX_CHARS - 5))
        await session.start_turn(EncodedUtterance(ARABIC_WAV))
        await transcriber.until_requested()
        with pytest.raises(TextTooLongError):
            add(session, "x" * 5)  # with the line break one too many
        add(session, "x" * 4)
        transcriber.released.set()
        await agent.until_requested()
        add(session, "x" * MAX_CHARS)
