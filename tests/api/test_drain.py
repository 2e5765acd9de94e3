"""The drain: who is let go when, and what each client is told."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from app.api.drain import CLOSE_S, Drain
from app.serving.server import DrainingServer
from app.simulator import Simulator
from tests import virtual_time
from tests.gateway import (
    Caller,
    audio_of,
    calling,
    expected_audio,
    instant_simulator,
    running_server,
    settings_for,
)
from tests.waiting import settle

QUESTION = {"type": "text", "text": "أين شحنتي؟"}


def terminate(server: DrainingServer) -> None:
    """Do what the signal does, without sending one to the process of the tests."""
    server.handle_exit(signal.SIGTERM, None)


async def end_of(caller: Caller) -> tuple[str, int, str]:
    """Receive the last event, and the close; return the event's type and the code and reason."""
    kind = ""
    try:
        while True:
            kind = (await caller.next())["type"]
    except ConnectionClosedError as closed:
        assert closed.rcvd is not None
        return kind, closed.rcvd.code, closed.rcvd.reason


async def test_an_idle_session_ends_at_once_and_a_running_turn_is_heard_whole() -> None:
    async with (
        instant_simulator(timing={"realtime_factor": 20}) as simulator,
        running_server(settings_for(simulator)) as (server, url),
        calling(url) as idle,
        calling(url) as speaking,
    ):
        await speaking.send(QUESTION)
        before = await speaking.until("tts_chunk")
        terminate(server)
        (told,) = await idle.until("status")
        assert told["code"] == "server-restarting"
        assert 1000 <= told["retry_after_ms"] <= 3000
        assert await end_of(idle) == ("", 1012, "server-restarting")
        await refuses_new_sessions(url)
        events = before + await speaking.until("done")
        assert audio_of(events) == expected_audio(simulator, events)
        told = await speaking.next()
        assert (told["type"], told["code"]) == ("status", "server-restarting")
        assert await end_of(speaking) == ("", 1012, "server-restarting")


async def refuses_new_sessions(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with calling(url):
            pass
    http = url.replace("ws:", "http:")
    async with httpx.AsyncClient() as client:
        explained = await client.get(http)
        ready = await client.get(http.replace("/ws/agent/", "/readyz"))
        alive = await client.get(http.replace("/ws/agent/", "/healthz"))
    for response in (refused.value.response, explained):
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
    assert explained.json()["code"] == "server-restarting"
    assert (ready.status_code, ready.json()["reason"]) == (503, "draining")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("drain_s", [0.0, 0.05])
async def test_a_turn_that_lasts_longer_is_cut_and_its_client_is_told(drain_s: float) -> None:
    async with (
        instant_simulator(timing={"agent_first_token_ms": 60_000}) as simulator,
        running_server(settings_for(simulator, drain_s=drain_s)) as (server, url),
        calling(url) as caller,
    ):
        await caller.send(QUESTION)
        await caller.until("status")
        terminate(server)
        assert await end_of(caller) == ("status", 1012, "server-restarting")


async def test_the_second_signal_ends_everything_at_once(simulator: Simulator) -> None:
    async with (
        instant_simulator(timing={"agent_first_token_ms": 60_000}) as simulator,
        running_server(settings_for(simulator, drain_s=60.0)) as (server, url),
        calling(url) as caller,
    ):
        await caller.send(QUESTION)
        await caller.until("status")
        terminate(server)
        terminate(server)
        assert await end_of(caller) == ("", 1012, "")


class FakeSession:
    """A session that the drain may end: its turn runs until `turn_over`."""

    def __init__(self, drain: Drain, *, leaves_after_s: float = 0.0) -> None:
        self.turn_over = asyncio.Event()
        self.ended_at: float | None = None
        self._drain = drain
        self._leaves_after_s = leaves_after_s

    async def run(self) -> None:
        over = asyncio.Event()

        async def wait_idle() -> None:
            await self.turn_over.wait()

        with self._drain.session() as session:
            with session.watching(wait_idle, over.set):
                await over.wait()
                assert session.has_ended
                self.ended_at = asyncio.get_running_loop().time()
            await asyncio.sleep(self._leaves_after_s)


def in_virtual_time(scenario: Callable[[Drain, asyncio.TaskGroup], Awaitable[None]]) -> float:
    """Run a scenario beside a drain of 20 s; return when the drain was complete."""

    async def run() -> float:
        drain = Drain(20.0)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(drain.run())
            await scenario(drain, tasks)
            await running
            assert drain.is_complete
            return asyncio.get_running_loop().time()

    return virtual_time.run(run())


def test_without_a_session_it_is_complete_at_once() -> None:
    async def scenario(drain: Drain, _tasks: asyncio.TaskGroup) -> None:
        await settle()
        assert not drain.is_complete
        drain.begin()

    assert in_virtual_time(scenario) == 0


def test_each_session_ends_when_its_own_turn_does_and_all_when_the_time_is_up() -> None:
    async def scenario(drain: Drain, tasks: asyncio.TaskGroup) -> None:
        sessions = [FakeSession(drain) for _ in range(3)]
        for session in sessions:
            tasks.create_task(session.run())
        sessions[0].turn_over.set()
        await settle()
        drain.begin()
        await asyncio.sleep(5)
        sessions[1].turn_over.set()
        await asyncio.sleep(60)
        assert [session.ended_at for session in sessions] == [0, 5, 20]

    assert in_virtual_time(scenario) == 65


def test_a_client_that_does_not_read_is_not_waited_for_for_ever() -> None:
    async def scenario(drain: Drain, tasks: asyncio.TaskGroup) -> None:
        session = FakeSession(drain, leaves_after_s=3600)
        session.turn_over.set()
        tasks.create_task(session.run())
        await settle()
        drain.begin()
        await asyncio.sleep(CLOSE_S / 2)
        assert not drain.is_complete
        await asyncio.sleep(CLOSE_S)
        assert drain.is_complete

    in_virtual_time(scenario)


def test_a_session_that_was_let_in_a_moment_before_ends_as_soon_as_it_begins() -> None:
    async def scenario(drain: Drain, tasks: asyncio.TaskGroup) -> None:
        drain.begin()
        session = FakeSession(drain)
        tasks.create_task(session.run())
        await settle()
        assert session.ended_at == 0

    in_virtual_time(scenario)
