"""Whole conversations with a model for an agent: client, gateway, simulator."""

from typing import Any

from app.settings import SYSTEM_PROMPT
from app.simulator import Simulator, SimulatorConfig
from tests.gateway import Caller, Event, calling, of_type, running_gateway, settings_for


def settings_of(simulator: Simulator, **changes: Any) -> Any:
    return settings_for(
        simulator,
        agent_kind="openai",
        agent_model="m",
        agent_webhook_url=simulator.urls.agent_completions_url,
        **changes,
    )


def told(simulator: Simulator) -> list[tuple[str, str]]:
    """What the model was told last, after the system's message."""
    messages = simulator.requests[-1].messages or next(
        record.messages for record in reversed(simulator.requests) if record.messages
    )
    assert messages[0] == {"role": "system", "content": SYSTEM_PROMPT}
    return [(message["role"], message["content"]) for message in messages[1:]]


async def ask(caller: Caller, text: str) -> list[Event]:
    await caller.send({"type": "text", "text": text})
    return await caller.until("done")


def answer_in(events: list[Event]) -> str:
    assert not of_type(events, "error")
    return str(of_type(events, "agent_response")[0]["text"])


async def test_three_turns_are_answered_and_remembered() -> None:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator:
        async with running_gateway(settings_of(simulator)) as url, calling(url) as caller:
            first = answer_in(await ask(caller, "السلام عليكم، أبغى أستعلم عن شحنة."))
            assert told(simulator) == [("user", "السلام عليكم، أبغى أستعلم عن شحنة.")]
            await caller.send_audio()
            events = await caller.until("done")
            heard = of_type(events, "transcription")[0]["text"]
            second = answer_in(events)
            answer_in(await ask(caller, "شكراً"))
    assert told(simulator) == [
        ("user", "السلام عليكم، أبغى أستعلم عن شحنة."),
        ("assistant", first),
        ("user", heard),
        ("assistant", second),
        ("user", "شكراً"),
    ]


async def test_after_an_interruption_the_model_knows_what_was_heard() -> None:
    config = SimulatorConfig(profile="instant", voice="hum", timing={"realtime_factor": 1})
    async with Simulator(config) as simulator:
        async with running_gateway(settings_of(simulator)) as url, calling(url) as caller:
            await caller.send({"type": "text", "text": "أين شحنتي؟"})
            await caller.until("agent_response")
            for _ in range(5):  # a second of speech, paced as it is heard
                await caller.until("tts_chunk")
            await caller.send({"type": "text", "text": "لحظة"})
            heard = (await caller.until("interrupted"))[-1]["heard_text"]
            assert heard
            simulator.configure({"timing": {"realtime_factor": 0}})
            answer = answer_in(await caller.until("done"))
            expected = [("user", "أين شحنتي؟"), ("assistant", heard), ("user", "لحظة")]
            assert told(simulator) == expected
            await ask(caller, "شكراً")
    assert told(simulator) == [*expected, ("assistant", answer), ("user", "شكراً")]


async def test_a_model_that_fails_is_told_and_not_remembered() -> None:
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator:
        simulator.configure({"faults": {"agent_404": {"probability": 1, "times": 1}}})
        async with running_gateway(settings_of(simulator)) as url, calling(url) as caller:
            events = await ask(caller, "مرحبا")
            assert [event["code"] for event in of_type(events, "error")] == ["agent-refused"]
            answer_in(await ask(caller, "أين شحنتي؟"))
    assert told(simulator) == [("user", "أين شحنتي؟")]
