"""The endpoint: its paths, whom it refuses, and how connections end."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.simulator import Simulator
from tests.gateway import Event, calling, instant_simulator, running_gateway, settings_for
from tests.waiting import until

STAGES: dict[str, dict[str, Any]] = {
    "transcribing": {"timing": {"stt_ms": 60_000}},
    "thinking": {"timing": {"agent_first_token_ms": 60_000}},
    "token": {"timing": {"agent_token_ms": 2_000}},
    "speaking": {"timing": {"first_audio_ms": 60_000}},
    "tts_chunk": {"timing": {"realtime_factor": 0.1}},
}


@pytest.mark.parametrize("path", ["", "/", "/abc", "/abc/"])
async def test_the_endpoint_is_found_with_and_without_slash_and_id(
    simulator: Simulator, path: str
) -> None:
    async with (
        running_gateway(settings_for(simulator)) as url,
        connect(url.rstrip("/") + path, compression=None) as socket,
    ):
        session = json.loads(await socket.recv())
        assert session["type"] == "session"
        assert session["session_id"] == "abc" if "abc" in path else session["session_id"]


@pytest.mark.parametrize("id", ["x" * 129, "a%2Fb", "a/b", "%0A"])
async def test_an_unsafe_session_id_is_refused_before_the_upgrade(
    simulator: Simulator, id: str
) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{url}{id}/", proxy=None)
        assert refusal.value.response.status_code == 400
        assert json.loads(refusal.value.response.body or b"")["code"] == "invalid-session-id"


@pytest.mark.parametrize(("message", "code"), [(b"x" * 400_000, 1009), (b"\xff", 1007)])
async def test_a_frame_that_cannot_be_read_closes_the_connection_with_a_code(
    simulator: Simulator, message: bytes, code: int
) -> None:
    settings = settings_for(simulator, max_utterance_bytes=64 * 1024)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.socket.send(message, text=True)
        with pytest.raises(ConnectionClosed):
            await caller.next()
        assert caller.socket.close_code == code


async def test_a_server_that_stops_closes_with_a_code(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        socket = await connect(url, compression=None, proxy=None)
    await socket.wait_closed()
    assert socket.close_code == 1012


@pytest.mark.parametrize("transport", ["websocket", "rest"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_client_that_disconnects_leaves_no_task_and_no_socket(
    transport: str, stage: str
) -> None:
    def reached(event: Event) -> bool:
        return stage in (event["type"], event.get("code"))

    def running_turns() -> list[str]:
        names = [task.get_name() for task in asyncio.all_tasks() - idle]
        return [name for name in names if name.startswith("turn")]

    async with instant_simulator(**STAGES[stage]) as simulator:
        settings = settings_for(
            simulator, tts_transport=transport, stt_transport=transport, hamsa_drain_timeout_s=0.1
        )
        async with running_gateway(settings) as url:
            async with calling(url) as caller:
                idle = asyncio.all_tasks()
                await caller.send_audio()
                while not reached(await caller.next()):
                    pass
            await until(lambda: not running_turns(), timeout_s=20)
            await until(
                lambda: all(record.ended_at is not None for record in simulator.requests),
                state=simulator.requests,
                timeout_s=20,
            )
        assert simulator.stats.sockets_open == 0
