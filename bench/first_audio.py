"""First audio beside the earliest moment that the providers' own timing allows."""

from app.pipeline.sentences import SentenceSplitter
from app.simulator.agent import plan_answer
from app.simulator.profiles import PROFILES, Timing
from bench.harness import TimedTurn, caller, gateway, show, spoken, take_turn

TURNS = 3


def earliest_s(turn: TimedTurn, timing: Timing) -> float:
    """Add up what nobody can save: STT, the agent up to the first sentence's end, first audio."""
    answer = turn.first("agent_response")[1]["text"]
    splitter = SentenceSplitter(first_chars=0)
    sentence = [*splitter.feed(answer), *splitter.flush()][0]
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
        for first_chars in (0, 25):
            settings = {
                "TTS_TRANSPORT": transport,
                "STT_TRANSPORT": transport,
                "SIMULATOR_PROFILE": "seed",
                "FIRST_CHUNK_MIN_CHARS": str(first_chars),
            }
            begins_with = "first clause" if first_chars else "first sentence"
            async with gateway(**settings) as url, caller(url) as socket:
                await take_turn(socket, {"type": "text", "text": "مرحبا"})  # warms up
                for number in range(1, TURNS + 1):
                    turn = await take_turn(socket, spoken())
                    earliest, first = earliest_s(turn, timing), turn.first("tts_chunk")[0]
                    rows.append((transport, begins_with, number, earliest, first, first - earliest))
    show(
        "First audio, timing of the real providers; earliest: for the first whole sentence",
        ("TTS and STT by", "speech begins with", "turn", "earliest s", "first audio s", "later s"),
        rows,
    )
