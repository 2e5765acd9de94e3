"""The simulator's lifecycle and timing."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
import uvloop

from app.simulator import Simulator, SimulatorConfig
from tests.simulator.provider_client import END, TEXT, TTS_PATH, ProviderClient, tts_payload


async def test_profiles_take_their_time(sim: Simulator, provider: ProviderClient) -> None:
    sim.configure({"timing": {"first_audio_ms": 30, "realtime_factor": 100}})
    async with provider.open() as ws:
        await ws.recv()
        await provider.synthesize(ws)
    record = sim.requests[-1]
    assert record.first_audio_at is not None
    assert record.ended_at is not None
    assert record.first_audio_at - record.received_at >= 0.029
    seconds = len(sim.expected_audio(TEXT)) / 32_000
    assert record.ended_at - record.received_at >= 0.029 + 0.8 * seconds / 100


async def exit_amid_work(sim: Simulator) -> None:
    """Leave work under way on every channel: none of it may outlive the simulator."""
    sim.configure({"faults": {"stall": 1, "agent_stall": 1}})
    async with (
        ProviderClient(sim).open() as ws,
        httpx.AsyncClient(http2=True, http1=False, trust_env=False) as http2,
        httpx.AsyncClient(trust_env=False) as http1,
    ):
        await ws.recv()
        await ProviderClient.send(ws, "tts", tts_payload())
        headers = {"Authorization": "Token key"}
        url = sim.urls.hamsa_rest_url + TTS_PATH
        async with (
            http2.stream("POST", url, json=tts_payload(), headers=headers) as audio,
            http1.stream("POST", sim.urls.agent_webhook_url, json={"text": "x"}) as tokens,
        ):
            await anext(audio.aiter_raw())
            await anext(tokens.aiter_raw())
            await sim.__aexit__(None, None, None)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_no_task_is_left_after_the_end(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def scenario() -> set[str]:
        sim = Simulator(SimulatorConfig(profile="instant", voice="hum"))
        await sim.__aenter__()
        before = {task for task in asyncio.all_tasks() if "sim-" not in task.get_name()}
        mine = asyncio.current_task()
        async with asyncio.timeout(10):
            await exit_amid_work(sim)
        left = asyncio.all_tasks() - {mine}
        return {task.get_name() for task in left if task not in before or not task.done()}

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(scenario()) == set()


async def test_it_can_be_exited_by_another_task_than_entered() -> None:
    sim = Simulator(SimulatorConfig(profile="instant", voice="hum"))
    await asyncio.create_task(sim.__aenter__())
    async with ProviderClient(sim).open() as ws:
        await ws.recv()
        assert (await ProviderClient(sim).synthesize(ws)).frames[-1] == END
    await asyncio.create_task(sim.__aexit__(None, None, None))


def test_it_has_addresses_only_while_it_listens() -> None:
    with pytest.raises(RuntimeError):
        _ = Simulator().urls
