"""Strangers: when a polite caller hears the first audio while others attack the gateway."""

import asyncio
import json
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection

from bench.attackers import ATTACKS, attacking
from bench.harness import caller, gateway, percentile, recorded_utterance
from bench.results import Cell, Result, Table

CALLERS = 3
TURNS = 24
LIMIT_S = 60
"""Longest run of one attack; most take 10 s."""


async def run() -> Result:
    """Take the same turns without an attack, and during each."""
    alone_ms = await _run(None)
    rows = [_row("none", alone_ms, alone_ms)]
    rows += [_row(name, await _run(name), alone_ms) for name in ATTACKS]
    table = Table(
        f"First audio of {CALLERS} polite callers during an attack, {TURNS} turns each",
        ("attack", "median ms", "p95 ms", "p95 beside without"),
        rows,
        "Every second turn is spoken; each is interrupted at its first audio. Gateway, simulator "
        "and attackers share the machine's cores; the attackers' process gives way to others.",
    )
    return Result("strangers", [table])


def _row(name: str, times_ms: list[float], alone_ms: list[float]) -> tuple[Cell, ...]:
    p95_ms = percentile(times_ms, 0.95)
    ratio = p95_ms / percentile(alone_ms, 0.95)
    return (name, round(percentile(times_ms, 0.5)), round(p95_ms), f"{ratio:.1f} ×")


async def _run(attack: str | None) -> list[float]:
    settings = {"SIMULATOR_PROFILE": "fast", "SIMULATOR_VOICE": "hum", "LOG_LEVEL": "info"}
    async with gateway(**settings) as url, asyncio.timeout(LIMIT_S):
        async with caller(url) as socket:
            for number in range(2):  # loads what is loaded when it is needed
                await _first_audio_ms(socket, number)
        if attack is None:
            return await _turns(url)
        async with attacking(attack, urlsplit(url).port or 0) as attacker:
            await attacker.struck()
            return await _turns(url)


async def _turns(url: str) -> list[float]:
    """Return the times of the first audio, in milliseconds."""

    async def converse(number: int) -> list[float]:
        await asyncio.sleep(number * 0.15)  # not in lockstep
        async with caller(url) as socket:
            return [await _first_audio_ms(socket, turn) for turn in range(TURNS // CALLERS)]

    conversations = await asyncio.gather(*map(converse, range(CALLERS)))
    return [time_ms for times_ms in conversations for time_ms in times_ms]


async def _first_audio_ms(socket: ClientConnection, number: int) -> float:
    """Take a turn, and interrupt it at its first audio."""
    loop = asyncio.get_running_loop()
    message = recorded_utterance() if number % 2 else {"type": "text", "text": "أين شحنتي"}
    await socket.send(json.dumps(message))
    began_at = loop.time()
    while json.loads(await socket.recv())["type"] != "tts_chunk":
        pass
    time_ms = (loop.time() - began_at) * 1000
    await socket.send('{"type": "interrupt"}')
    while json.loads(await socket.recv())["type"] not in ("interrupted", "done"):
        pass
    return time_ms
