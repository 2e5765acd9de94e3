"""A caller that interrupts again and again: how many sockets the gateway opens for it."""

import asyncio
import json

from app.simulator import Simulator, SimulatorConfig
from bench.harness import caller, gateway, settings_for, take_turn
from bench.results import Cell, Result, Table

INTERRUPTIONS = 100


async def run() -> Result:
    """Interrupt 100 responses in a row, each at its first audio."""
    transports = ("websocket", "auto", "rest")
    rows = await asyncio.gather(*(_interrupt(transport) for transport in transports))
    table = Table(
        f"{INTERRUPTIONS} interruptions in a row, one session",
        ("transport", "interruptions", "sockets opened", "HTTP connections", "last response"),
        rows,
        "The caller asks again as soon as the first audio of a response arrives. The socket of an "
        "interrupted request drains and is used again. The last response is not interrupted.",
    )
    return Result("barge_in", [table])


async def _interrupt(transport: str) -> tuple[Cell, ...]:
    """Interrupt in one session, so that its sockets are all that the provider counts."""
    config = SimulatorConfig(profile="fast", voice="hum")
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, TTS_TRANSPORT=transport)) as url,
        caller(url) as socket,
    ):
        interrupted = 0
        for number in range(INTERRUPTIONS):
            await socket.send(json.dumps({"type": "text", "text": f"سؤال رقم {number}"}))
            kind = ""
            while kind != "tts_chunk":
                event = json.loads(await socket.recv())
                kind = event["type"]
                interrupted += kind == "interrupted"
        last = await take_turn(socket, {"type": "text", "text": "آخر سؤال"})
        interrupted += len(last.all("interrupted"))
        return (
            transport,
            interrupted,
            simulator.stats.sockets_opened,
            simulator.stats.http_connections["2"],
            ", ".join(sorted(set(last.verdicts(simulator)))),
        )
