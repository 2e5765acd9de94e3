"""First audio beside the earliest moment that the providers' own timing allows."""

from app.simulator.agent import plan_answer
from app.simulator.profiles import PROFILES, Timing
from bench.harness import TimedTurn, caller, gateway, show, spoken, take_turn

TURNS = 3
TOLERANCE_S = 0.3


def earliest_s(turn: TimedTurn, timing: Timing) -> float:
    """Add up what nobody can save: STT, the agent up to the first sentence's end, first audio."""
    answer = turn.first("agent_response")[1]["text"]
    sentence = turn.first("sentence")[1]["text"]
    written = ""
    for step in plan_answer(answer, timing, (), 0.0):
        written += step.content or ""
        if written.strip().startswith(sentence):
            return (timing.stt_ms + timing.first_audio_ms) / 1000 + step.at_s
    raise LookupError("the first sentence is not in the answer")


async def run() -> None:
    """Three spoken turns by each transport, with the timing measured at the real providers."""
    timing = PROFILES["seed"]
    rows: list[tuple[object, ...]] = []
    for transport in ("websocket", "rest"):
        settings = {
            "TTS_TRANSPORT": transport,
            "STT_TRANSPORT": transport,
            "SIMULATOR_PROFILE": "seed",
        }
        async with gateway(**settings) as url, caller(url) as socket:
            await take_turn(socket, {"type": "text", "text": "مرحبا"})  # warms the connections
            for number in range(1, TURNS + 1):
                turn = await take_turn(socket, spoken())
                earliest, first = earliest_s(turn, timing), turn.first("tts_chunk")[0]
                verdict = "ok" if first - earliest <= TOLERANCE_S else "too late"
                rows.append((transport, number, earliest, first, first - earliest, verdict))
    show(
        "First audio beside the earliest possible, timing of the real providers",
        ("TTS and STT by", "turn", "earliest s", "first audio s", "later by s", "within 0.3 s"),
        rows,
    )
