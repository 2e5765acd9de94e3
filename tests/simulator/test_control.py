"""The control: read and change a running simulator over HTTP."""

import httpx

from app.simulator import Simulator
from tests.simulator.provider_client import SPEECH, TEXT, TTS_PATH, tts_payload


async def test_it_shows_configuration_and_totals(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"key": "secret", "throttle": {"limit": 4, "window_s": 20}})
    await http.post(TTS_PATH, json=tts_payload(), headers={"Authorization": "Token secret"})
    response = await http.get("/simulator")
    shown = response.json()
    assert "secret" not in response.text
    assert shown["config"]["profile"] == "instant"
    assert shown["config"]["throttle"] == {"limit": 4, "window_s": 20, "mode": "truncated"}
    assert shown["timing"]["stt_ms"] == 0
    assert shown["voice"] == "hum"
    assert shown["stats"]["requests"] == {"rest.tts": 1}


async def test_it_changes_what_a_patch_names(sim: Simulator, http: httpx.AsyncClient) -> None:
    faults = {"truncated": 0.35, "drop": {"probability": 1, "times": 1, "channel": "websocket"}}
    patch = {"faults": faults, "profile": "measured", "timing": {"stt_ms": 7}}
    response = await http.patch("/simulator", json=patch)
    assert response.status_code == 200
    assert response.json()["config"]["faults"]["truncated"]["probability"] == 0.35
    assert sim.config.faults["drop"].channel == "websocket"
    assert sim.config.effective_timing.stt_ms == 7
    assert sim.config.effective_timing.first_audio_ms == 440


async def test_it_refuses_a_bad_patch_and_names_the_field(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    before = sim.config
    response = await http.patch("/simulator", json={"faults": {"drop": 7}})
    assert response.status_code == 422
    assert response.json()["message"].startswith("faults.drop.probability: ")
    assert (await http.patch("/simulator", content=b"{")).status_code == 422
    assert (await http.patch("/simulator", content=b"\xff")).status_code == 422
    assert (await http.patch("/simulator", content=b'{"stall_ms": Infinity}')).status_code == 422
    assert sim.config == before


async def test_it_clears_the_faults(sim: Simulator, http: httpx.AsyncClient) -> None:
    sim.configure({"faults": {"truncated": 1}, "throttle": {"limit": 0, "window_s": 9}})
    response = await http.delete("/simulator/faults")
    assert response.json()["config"]["faults"] == {}
    assert sim.config.throttle is None
    assert (await http.post(TTS_PATH, json=tts_payload())).content == sim.expected_audio(TEXT)


async def test_patching_one_fault_leaves_the_count_of_another(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    sim.configure({"faults": {"truncated": {"times": 1}}})
    assert len((await http.post(TTS_PATH, json=tts_payload())).content) == 640
    sim.configure({"faults": {"riff": 0}})
    assert (await http.post(TTS_PATH, json=tts_payload())).content == sim.expected_audio(TEXT)
    sim.configure({"faults": {"truncated": {"times": 1}}})
    assert len((await http.post(TTS_PATH, json=tts_payload())).content) == 640


async def test_it_lists_the_requests(http: httpx.AsyncClient) -> None:
    await http.post("/v1/realtime/stt", json=SPEECH)
    await http.post("/webhook/agent", json={"text": "مرحبا", "session_id": "s"})
    stt, agent = (await http.get("/simulator/requests")).json()["requests"]
    assert (stt["kind"], stt["channel"], stt["socket"]) == ("stt", "rest", None)
    assert stt["received_at"] <= stt["first_audio_at"] <= stt["ended_at"]
    assert (agent["kind"], agent["channel"], agent["text"]) == ("agent", "agent", "مرحبا")
