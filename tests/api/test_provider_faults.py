"""Faults of the providers: repaired, or reported to the client, and never audible."""

import json
from typing import Any

import pytest

from app.simulator import Simulator
from tests.gateway import (
    audio_of,
    calling,
    expected_audio,
    of_type,
    running_gateway,
    settings_for,
)

ONCE = {"probability": 1, "times": 1}

FAULTS: list[tuple[dict[str, Any], str, str | None]] = [
    # what a provider does, the transport, and the code of the error if the client gets one
    ({"truncated": ONCE}, "websocket", None),
    ({"truncated": ONCE}, "rest", None),
    ({"riff": 1.0}, "websocket", None),
    ({"riff": 1.0}, "rest", None),
    ({"odd_chunks": 1.0}, "websocket", None),
    ({"odd_chunks": 1.0}, "rest", None),
    ({"late_frames": 1.0}, "websocket", None),
    ({"unavailable": ONCE}, "rest", None),
    ({"endless_error": ONCE}, "rest", None),
    ({"provider_error": {**ONCE, "operation": "tts"}}, "websocket", None),
    ({"unauthorized": {"probability": 1, "channel": "rest"}}, "rest", "provider-authentication"),
    ({"quota": {"probability": 1, "operation": "tts"}}, "websocket", "provider-quota"),
    ({"redirect": {"probability": 1, "channel": "rest"}}, "rest", None),
    ({"agent_error": 1.0}, "websocket", "agent-failed"),
    ({"agent_cut": 1.0}, "websocket", "agent-cut"),
    ({"agent_empty": 1.0}, "websocket", "agent-empty"),
    ({"agent_404": 1.0}, "websocket", "agent-refused"),
]


@pytest.mark.parametrize(
    ("faults", "transport", "code"), FAULTS, ids=[f"{next(iter(f))}-{t}" for f, t, _ in FAULTS]
)
async def test_a_fault_is_repaired_or_reported_and_never_audible(
    simulator: Simulator, faults: dict[str, Any], transport: str, code: str | None
) -> None:
    settings = settings_for(simulator, tts_transport=transport, hamsa_linger_s=0.3)
    simulator.configure({"faults": faults})
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "مرحبا"})
        events = await caller.until("done")
        codes = {event["code"] for event in of_type(events, "error")}
        assert codes == ({code} if code else set())
        assert audio_of(events) == expected_audio(simulator, events)
        simulator.clear_faults()
        await caller.send({"type": "text", "text": "مرة ثانية"})
        events = await caller.until("done")
        assert not of_type(events, "error")
        assert audio_of(events) == expected_audio(simulator, events)
    assert simulator.stats.keys_leaked == 0


async def test_the_key_is_in_no_event_and_no_log(
    simulator: Simulator, capfd: pytest.CaptureFixture[str]
) -> None:
    simulator.configure({"key": "another-key"})
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send_audio()
        events = await caller.until("done")
    assert [event["code"] for event in of_type(events, "error")] == ["provider-authentication"]
    output = capfd.readouterr()
    assert "test-key" not in json.dumps(events) + output.out + output.err
