"""What a client is told of a turn that was interrupted."""

from app.simulator import Simulator, SimulatorConfig
from tests.gateway import calling, of_type, running_gateway, settings_for


async def test_the_latencies_are_told_as_far_as_the_turn_went() -> None:
    config = SimulatorConfig(profile="instant", voice="hum", timing={"agent_token_ms": 50})
    async with (
        Simulator(config) as simulator,
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


async def test_a_turn_that_was_over_keeps_its_latencies() -> None:
    async with (
        Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator,
        running_gateway(settings_for(simulator)) as url,
        calling(url) as caller,
    ):
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        [done] = of_type(await caller.until("done"), "done")
        await caller.send({"type": "playback", "turn": 1, "played_ms": 20})
        await caller.send({"type": "interrupt"})
        [interrupted] = of_type(await caller.until("interrupted"), "interrupted")
    assert interrupted["metrics"] == done["metrics"]


async def test_what_was_heard_after_a_sentence_that_failed_is_told() -> None:
    config = SimulatorConfig(profile="instant", voice="hum")
    async with (
        Simulator(config) as simulator,
        running_gateway(settings_for(simulator, tts_fallback="none", tts_attempts=1)) as url,
        calling(url) as caller,
    ):
        simulator.configure({"faults": {"truncated": {"probability": 1, "times": 1}}})
        await caller.send({"type": "text", "text": "أين شحنتي؟"})
        events = await caller.until("done")
        assert [event["code"] for event in of_type(events, "error")] == ["incomplete-audio"]
        await caller.send({"type": "playback", "turn": 1, "played_ms": 1500})
        await caller.send({"type": "interrupt"})
        [interrupted] = of_type(await caller.until("interrupted"), "interrupted")
    assert interrupted["heard_text"]
    assert of_type(events, "sentence")[0]["text"].startswith(interrupted["heard_text"])
