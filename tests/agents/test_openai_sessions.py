"""Whole sessions with a model as the agent: client, gateway, simulator."""

from app.agent_settings import SYSTEM_PROMPT
from app.settings import Settings
from app.simulator import Simulator, SimulatorConfig
from tests.gateway import Caller, Event, calling, of_type, running_gateway, settings_for


def settings_of(simulator: Simulator) -> Settings:
    return settings_for(
        simulator,
        agent_kind="openai",
        agent_model="m",
        agent_webhook_url=simulator.urls.agent_completions_url,
    )


def messages_sent(simulator: Simulator) -> list[tuple[str, str]]:
    """The messages of the last request to the model, after the system's."""
    messages = simulator.requests[-1].messages or next(
        record.messages for record in reversed(simulator.requests) if record.messages
    )
    assert messages[0] == {"role": "system", "content": SYSTEM_PROMPT}
    return [(message["role"], message["content"]) for message in messages[1:]]


async def turn(caller: Caller, text: str) -> list[Event]:
    await caller.send({"type": "text", "text": text})
    return await caller.until("done")


def response_in(events: list[Event]) -> str:
    assert not of_type(events, "error")
    return str(of_type(events, "agent_response")[0]["text"])


async def test_the_model_receives_the_earlier_turns() -> None:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator:
        async with running_gateway(settings_of(simulator)) as url, calling(url) as caller:
            first = response_in(await turn(caller, "السلام عليكم، أبغى أستعلم عن شحنة."))
            assert messages_sent(simulator) == [("user", "السلام عليكم، أبغى أستعلم عن شحنة.")]
            await caller.send_audio()
            events = await caller.until("done")
            transcript = of_type(events, "transcription")[0]["text"]
            second = response_in(events)
            response_in(await turn(caller, "شكراً"))
    assert messages_sent(simulator) == [
        ("user", "السلام عليكم، أبغى أستعلم عن شحنة."),
        ("assistant", first),
        ("user", transcript),
        ("assistant", second),
        ("user", "شكراً"),
    ]


async def test_after_an_interruption_the_model_receives_what_was_played() -> None:
    config = SimulatorConfig(profile="instant", voice="hum", timing={"realtime_factor": 1})
    async with Simulator(config) as simulator:
        async with running_gateway(settings_of(simulator)) as url, calling(url) as caller:
            await caller.send({"type": "text", "text": "أين شحنتي؟"})
            await caller.until("agent_response")
            for _ in range(5):  # a second of speech, paced as it is played
                await caller.until("tts_chunk")
            await caller.send({"type": "text", "text": "لحظة"})
            played = (await caller.until("interrupted"))[-1]["heard_text"]
            assert played
            simulator.configure({"timing": {"realtime_factor": 0}})
            response = response_in(await caller.until("done"))
            expected = [("user", "أين شحنتي؟"), ("assistant", played), ("user", "لحظة")]
            assert messages_sent(simulator) == expected
            await turn(caller, "شكراً")
    assert messages_sent(simulator) == [*expected, ("assistant", response), ("user", "شكراً")]


async def test_a_failed_turn_is_reported_and_not_remembered() -> None:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator:
        simulator.configure({"faults": {"agent_404": {"probability": 1, "times": 1}}})
        async with running_gateway(settings_of(simulator)) as url, calling(url) as caller:
            events = await turn(caller, "مرحبا")
            assert [event["code"] for event in of_type(events, "error")] == ["agent-refused"]
            response_in(await turn(caller, "أين شحنتي؟"))
    assert messages_sent(simulator) == [("user", "أين شحنتي؟")]
