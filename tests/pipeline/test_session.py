"""The life of a session: what leaving it cancels, and what ends it."""

import asyncio

import pytest

from app.pipeline import events
from tests.pipeline.fakes import FakeAgent, Recorder
from tests.pipeline.sessions import FIRST, audio_of_sentences, running_session
from tests.transports.fakes import FakeTransport
from tests.waiting import settle


async def test_leaving_the_session_cancels_the_turn_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    agent, transport, recorder = (
        FakeAgent([FIRST, asyncio.Event()]),
        audio_of_sentences(1),
        Recorder(),
    )
    async with running_session(agent, transport, recorder=recorder) as session:
        await session.start_turn("مرحبا")
        await recorder.until(events.Token)
    assert asyncio.all_tasks() == before
    assert agent.open == transport.open == 0


async def test_a_client_that_is_gone_ends_only_its_own_events() -> None:
    recorder = Recorder(gone=True)
    async with running_session(
        FakeAgent([FIRST]), audio_of_sentences(1), recorder=recorder
    ) as session:
        await session.start_turn("مرحبا")
    assert recorder.events == []


@pytest.mark.parametrize("error", [events.ClientGoneError, ZeroDivisionError])
async def test_the_error_that_ends_a_session_is_not_wrapped(error: type[Exception]) -> None:
    agent, transport, recorder = (
        FakeAgent([f"{FIRST} ", asyncio.Event()]),
        audio_of_sentences(1),
        Recorder(),
    )
    with pytest.raises(error):
        async with running_session(agent, transport, recorder=recorder) as session:
            await session.start_turn("مرحبا")
            await recorder.until(events.AudioChunk)
            raise error
    assert agent.open == transport.open == 0
    assert "TurnDone" not in recorder.kinds


async def test_a_client_that_is_gone_when_it_is_interrupted_ends_the_session_as_gone() -> None:
    recorder = Recorder()
    agent = FakeAgent([f"{FIRST} ", asyncio.Event()])
    with pytest.raises(events.ClientGoneError):
        async with running_session(agent, audio_of_sentences(1), recorder=recorder) as session:
            await session.start_turn("الأول")
            await recorder.until(events.AudioChunk)
            recorder.gone = True
            await session.start_turn("الثاني")


async def test_a_session_is_idle_when_no_turn_runs_not_even_one_that_came_meanwhile() -> None:
    recorder, may_respond = Recorder(), asyncio.Event()
    agent = FakeAgent([may_respond, FIRST])
    async with (
        running_session(agent, audio_of_sentences(1), recorder=recorder) as session,
        asyncio.TaskGroup() as tasks,
    ):
        await session.wait_idle()
        await session.start_turn("الأول")
        waiting = tasks.create_task(session.wait_idle())
        await settle()
        await session.start_turn("الثاني")
        await settle()
        assert not waiting.done()
        may_respond.set()
        await waiting
        assert recorder.kinds[-1] == "TurnDone"


async def test_a_turn_that_finds_its_client_gone_is_cancelled_by_the_next() -> None:
    recorder = Recorder()
    written = asyncio.Event()
    agent = FakeAgent([f"{FIRST} ", written, FIRST, asyncio.Event()])
    with pytest.raises(events.ClientGoneError):
        async with running_session(agent, audio_of_sentences(2), recorder=recorder) as session:
            await session.start_turn("الأول")
            await recorder.until(events.AudioChunk)
            recorder.gone = True
            written.set()
            for _ in range(20):
                await asyncio.sleep(0)
            await session.start_turn("الثاني")
    assert len(agent.requests) == 1
    assert agent.open == 0


async def test_a_warm_up_that_hangs_does_not_delay_the_end_of_a_session() -> None:
    class HangingTransport(FakeTransport):
        async def warm_up(self, connections: int = 1) -> None:
            await asyncio.Event().wait()

    async with running_session(FakeAgent([]), HangingTransport([]), recorder=Recorder()):
        await asyncio.sleep(0)
