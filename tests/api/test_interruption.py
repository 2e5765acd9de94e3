"""Interruptions: by a new turn or by the client, and what `interrupted` reports."""

import pytest

from app.simulator import Simulator
from tests.gateway import (
    audio_of,
    calling,
    expected_audio,
    instant_simulator,
    of_type,
    running_gateway,
    settings_for,
)


@pytest.mark.parametrize("transport", ["websocket", "rest"])
@pytest.mark.parametrize("how", ["text", "interrupt"])
async def test_a_running_turn_is_interrupted_and_no_event_of_it_follows(
    how: str, transport: str
) -> None:
    async with (
        instant_simulator(timing={"realtime_factor": 1}) as simulator,
        running_gateway(settings_for(simulator, tts_transport=transport)) as url,
        calling(url) as caller,
    ):
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        await caller.until("tts_chunk")
        await caller.send({"type": how, "text": "مهلا"})
        before = await caller.until("interrupted")
        assert before[-1]["reason"] == ("barge_in" if how == "text" else "client")
        assert before[-1]["turn"] == 1
        if how == "interrupt":
            await caller.send({"type": "text", "text": "مهلا"})
        simulator.configure({"timing": {"realtime_factor": 0}})
        after = await caller.until("done")
        assert {event["turn"] for event in after} == {2}
        assert audio_of(after) == expected_audio(simulator, after)


async def test_an_interrupt_without_a_turn_is_harmless(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "interrupt"})
        await caller.send({"type": "ping", "id": 1})
        assert (await caller.next())["type"] == "pong"


async def test_the_latencies_are_reported_as_far_as_the_turn_went() -> None:
    async with (
        instant_simulator(timing={"agent_token_ms": 50}) as simulator,
        running_gateway(settings_for(simulator)) as url,
        calling(url) as caller,
    ):
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        await caller.until("tts_chunk")
        await caller.send({"type": "interrupt"})
        metrics = of_type(await caller.until("interrupted"), "interrupted")[0]["metrics"]
    assert metrics["agent_first_token_ms"] <= metrics["first_sentence_ms"]
    assert metrics["first_sentence_ms"] <= metrics["first_audio_ms"] <= metrics["total_ms"]
    assert metrics["agent_done_ms"] is None
    assert metrics["sentences"][0]["audio_ms"] > 0


async def test_a_turn_that_was_done_keeps_its_latencies(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        [done] = of_type(await caller.until("done"), "done")
        await caller.send({"type": "playback", "turn": 1, "played_ms": 20})
        await caller.send({"type": "interrupt"})
        [interrupted] = of_type(await caller.until("interrupted"), "interrupted")
    assert interrupted["metrics"] == done["metrics"]


async def test_the_text_played_after_a_sentence_that_failed_is_reported(
    simulator: Simulator,
) -> None:
    settings = settings_for(simulator, tts_fallback="none", tts_attempts=1)
    async with running_gateway(settings) as url, calling(url) as caller:
        simulator.configure({"faults": {"truncated": {"probability": 1, "times": 1}}})
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        events = await caller.until("done")
        assert [event["code"] for event in of_type(events, "error")] == ["incomplete-audio"]
        await caller.send({"type": "playback", "turn": 1, "played_ms": 1500})
        await caller.send({"type": "interrupt"})
        [interrupted] = of_type(await caller.until("interrupted"), "interrupted")
    assert interrupted["heard_text"]
    assert of_type(events, "sentence")[0]["text"].startswith(interrupted["heard_text"])
