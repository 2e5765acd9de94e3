"""Many callers at once on one API key, while the provider throttles new sockets."""

import asyncio

from app.simulator import Simulator, SimulatorConfig, Throttle
from bench.harness import TimedTurn, caller, gateway, percentile, settings_for, take_turn
from bench.results import Cell, Result, Table

SESSIONS = 16
TURNS = 3
THROTTLE = Throttle(limit=4, window_s=20)


async def run() -> Result:
    """Run 16 sessions of 3 turns at once; the provider accepts 4 sockets in 20 s."""
    rows = [await _run_sessions(transport) for transport in ("websocket", "auto")]
    table = Table(
        f"{SESSIONS} sessions of {TURNS} turns at once; the provider accepts 4 sockets in 20 s",
        (
            "transport",
            "sentences",
            "whole",
            "sockets opened",
            "sockets throttled",
            "first audio p50 s",
            "p95 s",
        ),
        rows,
        "Profile `fast`. On a socket opened beyond that limit the provider would send 640 bytes "
        "(20 ms) per sentence and a regular end. First audio is counted from the question.",
    )
    return Result("connection_storm", [table])


async def _run_sessions(transport: str) -> tuple[Cell, ...]:
    """Run all sessions against one gateway, which has one API key and one pool."""
    config = SimulatorConfig(profile="fast", voice="hum", throttle=THROTTLE)
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, TTS_TRANSPORT=transport)) as url,
    ):
        sessions = [_converse(url, session) for session in range(SESSIONS)]
        turns = [turn for turns in await asyncio.gather(*sessions) for turn in turns]
        verdicts = [verdict for turn in turns for verdict in turn.verdicts(simulator)]
        first_audio_s = [turn.first("tts_chunk")[0] for turn in turns]
        return (
            transport,
            len(verdicts),
            f"{100 * verdicts.count('whole') / len(verdicts):.1f} %",
            simulator.stats.sockets_opened,
            simulator.stats.sockets_throttled,
            percentile(first_audio_s, 0.5),
            percentile(first_audio_s, 0.95),
        )


async def _converse(url: str, session: int) -> list[TimedTurn]:
    async with caller(url) as socket:
        return [
            await take_turn(socket, {"type": "text", "text": f"سؤال {turn} من متصل {session}"})
            for turn in range(TURNS)
        ]
