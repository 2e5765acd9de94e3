"""The log of two callers at once, with faults on: every line has its session, turn and sentence."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FaultName, FaultSpec
from bench.harness import TimedTurn, caller, recorded_utterance, take_turn
from tests.telemetry.json_gateway import Line, json_gateway, of_event

CALLERS = ("of-amal", "of-badr")
TYPED, SPOKEN, ANSWER = "zanzibarword", "quokkaword", "marmaladeword is a word that is spoken."
TURNS = [{"type": "text", "text": TYPED}, recorded_utterance()] * 3

FAULTS: tuple[FaultName, ...] = ("truncated", "drop", "unavailable", "stall_first")

LEASES = ("Using new connection", "Reusing existing connection")
OPENINGS = ("Creating new persistent connection",)
"""Of a socket by its number, or by the `path` of a request, of a connection of HTTP."""

UNDER_A_TURN = ("attempt", "transcription", "audio stream ended early", "turn", *LEASES)


def faulty_simulator() -> Simulator:
    return Simulator(
        SimulatorConfig(
            profile="instant",
            voice="hum",
            script=(SPOKEN,),
            answers=dict.fromkeys((TYPED, SPOKEN), f"{ANSWER} {ANSWER} {ANSWER}"),
            faults={name: FaultSpec(probability=0.15) for name in FAULTS},
            seed=1,
        )
    )


def settings_for(simulator: Simulator) -> dict[str, str]:
    return {
        "HAMSA_API_KEY": "any-key-of-the-test",
        "HAMSA_WS_URL": simulator.urls.hamsa_ws_url,
        "HAMSA_REST_URL": simulator.urls.hamsa_rest_url,
        "HAMSA_REST_HTTP2": "prior_knowledge",
        "HAMSA_CONNECT_LIMIT": "50",
        "AGENT_WEBHOOK_URL": simulator.urls.agent_webhook_url,
        "LOG_LEVEL": "debug",
        "TTS_FIRST_AUDIO_TIMEOUT_S": "0.5",
        "STT_TIMEOUT_S": "1",
    }


async def converse(endpoint: str, session_id: str) -> list[TimedTurn]:
    async with caller(f"{endpoint}{session_id}") as socket:
        return [await take_turn(socket, message) for message in TURNS]


def check_turn(lines: list[Line], turn: TimedTurn, *, is_spoken: bool) -> None:
    """Check that the lines of one turn account for all of it, and for nothing else."""
    (summary,) = of_event(lines, "turn")
    attempts = of_event(lines, "attempt")
    transcriptions = of_event(lines, "transcription")
    assert {line["sentence"] for line in attempts} == set(range(summary["sentences"]))
    assert len(attempts) == summary["attempts"]
    assert sorted(filter(None, (line["fault"] for line in attempts))) == sorted(summary["faults"])
    assert (summary["outcome"] == "done") == (not turn.all("error"))
    assert len(transcriptions) >= is_spoken
    sockets = [line for line in of_event(lines, *LEASES) if "socket" in line]
    assert sentences(line for line in sockets if "sentence" in line) == sentences(
        line for line in attempts if line["transport"] == "websocket" and line["connection"]
    )
    requests = [line for line in transcriptions if line["transport"] == "websocket"]
    for_speech = [line for line in sockets if "sentence" not in line]
    leased = [line for line in requests if line["outcome"] == "done"]
    assert len(leased) <= len(for_speech) <= 2 * len(requests), "one is sent again at most"
    of_http = [line for line in of_event(lines, *LEASES, *OPENINGS) if "path" in line]
    assert sentences(line for line in of_http if "sentence" in line) <= sentences(
        line for line in attempts if line["transport"] == "rest"
    )
    assert len([line for line in of_http if "sentence" not in line]) <= len(
        [line for line in transcriptions if line["transport"] == "rest"]
    )


def sentences(lines: Iterable[Line]) -> Counter[int]:
    return Counter(line["sentence"] for line in lines)


async def test_every_line_of_a_turn_is_in_its_place(tmp_path: Path) -> None:
    async with (
        faulty_simulator() as simulator,
        json_gateway(tmp_path, settings_for(simulator)) as gateway,
    ):
        async with asyncio.timeout(60):
            conversations = await asyncio.gather(
                *(converse(gateway.endpoint, session_id) for session_id in CALLERS)
            )
        await gateway.stop()
        lines, text = gateway.lines(), gateway.text()
    by_turn: dict[tuple[str, int], list[Line]] = defaultdict(list)
    of_http = [line for line in of_event(lines, *OPENINGS) if "path" in line]
    for line in (*of_event(lines, *UNDER_A_TURN), *of_http):
        by_turn[line["session"], line["turn"]].append(line)
    turns = {
        (session_id, number): turn
        for session_id, conversation in zip(CALLERS, conversations, strict=True)
        for number, turn in enumerate(conversation, start=1)
    }
    assert by_turn.keys() == turns.keys()
    for (session_id, number), turn in turns.items():
        check_turn(by_turn[session_id, number], turn, is_spoken=number % 2 == 0)
    assert any(line["fault"] for line in of_event(lines, "attempt")), "the faults fired"

    opened = [line for line in of_event(lines, *OPENINGS) if "socket" in line]
    assert opened
    assert not any({"session", "turn", "sentence"} & line.keys() for line in opened)
    leased = {line["socket"] for line in of_event(lines, *LEASES) if "socket" in line}
    assert leased <= {line["socket"] for line in opened}

    came, gone = of_event(lines, "client connected"), of_event(lines, "client left")
    assert sorted(line["session"] for line in came) == sorted(CALLERS)
    assert {line["session"]: (line["why"], line["turns"]) for line in gone} == dict.fromkeys(
        CALLERS, ("client-left", len(TURNS))
    )
    assert all(line["bytes_in"] and line["bytes_out"] and line["seconds"] >= 0 for line in gone)
    (stopped,) = of_event(lines, "stopped")
    assert (stopped["sessions"], stopped["ended"]) == (2, {"client-left": 2})
    assert not [word for word in (TYPED, SPOKEN, "marmaladeword", "any-key-of") if word in text]
