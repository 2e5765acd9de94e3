"""Changing a running simulator, and looking into it."""

import asyncio

import httpx
import pytest
import uvloop

from app.simulator import Simulator, SimulatorConfig
from tests.simulator.provider_client import END, TEXT, VOICED, Provider, payload

TTS = "/v1/realtime/tts-stream"


async def test_control_shows_configuration_and_totals(sim, http, provider):
    sim.configure({"key": "secret", "throttle": {"limit": 4, "window_s": 20}})
    await http.post(TTS, json=payload(), headers={"Authorization": "Token secret"})
    answer = await http.get("/simulator")
    shown = answer.json()
    assert "secret" not in answer.text
    assert shown["config"]["profile"] == "instant"
    assert shown["config"]["throttle"] == {"limit": 4, "window_s": 20, "mode": "truncated"}
    assert shown["timing"]["stt_ms"] == 0
    assert shown["voice"] == "hum"
    assert shown["stats"]["requests"] == {"rest.tts": 1}


async def test_control_changes_what_it_is_told(sim, http):
    faults = {"truncated": 0.35, "drop": {"probability": 1, "times": 1, "channel": "websocket"}}
    patch = {"faults": faults, "profile": "measured", "timing": {"stt_ms": 7}}
    answer = await http.patch("/simulator", json=patch)
    assert answer.status_code == 200
    assert answer.json()["config"]["faults"]["truncated"]["probability"] == 0.35
    assert sim.config.faults["drop"].channel == "websocket"
    assert sim.config.effective_timing.stt_ms == 7
    assert sim.config.effective_timing.first_audio_ms == 440


async def test_control_refuses_nonsense_and_names_the_field(sim, http):
    before = sim.config
    answer = await http.patch("/simulator", json={"faults": {"drop": 7}})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("faults.drop.probability: ")
    assert (await http.patch("/simulator", content=b"{")).status_code == 422
    assert (await http.patch("/simulator", content=b"\xff")).status_code == 422
    assert sim.config == before


async def test_control_clears_the_faults(sim, http):
    sim.configure({"faults": {"truncated": 1}, "throttle": {"limit": 0, "window_s": 9}})
    answer = await http.delete("/simulator/faults")
    assert answer.json()["config"]["faults"] == {}
    assert sim.config.throttle is None
    assert (await http.post(TTS, json=payload())).content == sim.expected_audio(TEXT)


async def test_patching_one_fault_leaves_the_count_of_another(sim, http):
    sim.configure({"faults": {"truncated": {"times": 1}}})
    assert len((await http.post(TTS, json=payload())).content) == 640
    sim.configure({"faults": {"riff": 0}})
    assert (await http.post(TTS, json=payload())).content == sim.expected_audio(TEXT)
    sim.configure({"faults": {"truncated": {"times": 1}}})
    assert len((await http.post(TTS, json=payload())).content) == 640


async def test_the_timeline_can_be_read_over_http(sim, http):
    await http.post("/v1/realtime/stt", json=VOICED)
    await http.post("/webhook/agent", json={"text": "مرحبا", "session_id": "s"})
    stt, agent = (await http.get("/simulator/requests")).json()["requests"]
    assert (stt["kind"], stt["channel"], stt["socket"]) == ("stt", "rest", None)
    assert stt["received_at"] <= stt["first_audio_at"] <= stt["ended_at"]
    assert (agent["kind"], agent["channel"], agent["text"]) == ("agent", "agent", "مرحبا")


async def test_profiles_take_their_time(sim, provider, http):
    sim.configure({"timing": {"first_audio_ms": 30, "realtime_factor": 100, "rest_connect_ms": 20}})
    async with provider.open() as ws:
        await ws.recv()
        await provider.speak(ws)
    spoken = sim.requests[-1]
    assert spoken.first_audio_at - spoken.received_at >= 0.029
    seconds = len(sim.expected_audio(TEXT)) / 32_000
    assert spoken.ended_at - spoken.received_at >= 0.029 + 0.8 * seconds / 100


async def busy(sim: Simulator) -> None:
    """Leave work under way on every channel: nothing of it may outlive the simulator."""
    sim.configure({"faults": {"stall": 1, "agent_stall": 1}})
    async with (
        Provider(sim).open() as ws,
        httpx.AsyncClient(http2=True, http1=False, trust_env=False) as http,
        httpx.AsyncClient(trust_env=False) as first,
    ):
        await ws.recv()
        await Provider.send(ws, "tts", payload())
        headers = {"Authorization": "Token key"}
        url = sim.urls.hamsa_rest_url + TTS
        async with (
            http.stream("POST", url, json=payload(), headers=headers) as answer,
            first.stream("POST", sim.urls.agent_webhook_url, json={"text": "x"}) as told,
        ):
            await anext(answer.aiter_raw())
            await anext(told.aiter_raw())
            await sim.__aexit__(None, None, None)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_nothing_is_left_after_the_end(loop_factory):
    async def scenario() -> set[str]:
        sim = Simulator(SimulatorConfig(profile="instant", voice="hum"))
        await sim.__aenter__()
        before = {task for task in asyncio.all_tasks() if "sim-" not in task.get_name()}
        mine = asyncio.current_task()
        async with asyncio.timeout(10):
            await busy(sim)
        left = asyncio.all_tasks() - {mine}
        return {task.get_name() for task in left if task not in before or not task.done()}

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(scenario()) == set()


async def test_it_can_be_left_by_another_task_than_entered():
    sim = Simulator(SimulatorConfig(profile="instant", voice="hum"))
    await asyncio.create_task(sim.__aenter__())
    async with Provider(sim).open() as ws:
        await ws.recv()
        assert (await Provider(sim).speak(ws)).frames[-1] == END
    await asyncio.create_task(sim.__aexit__(None, None, None))


async def test_it_says_where_it_listens_only_while_it_does():
    with pytest.raises(RuntimeError):
        _ = Simulator().urls
