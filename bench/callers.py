"""Callers: a process that holds many sessions, asks, and takes the time of what it hears.

`python -m bench.callers PLAN` (JSON, see `load.callers`) connects, prints `ready`, begins on the
first line of its input, and prints what was heard as JSON.
"""

import asyncio
import base64
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.load import AUDIO_BYTES, BYTES_PER_S, SPEED
from bench.provider import stamped_at


@dataclass
class Tally:
    """What all callers of this process heard."""

    overheads_ms: list[float] = field(default_factory=list)
    turns: int = 0
    whole: int = 0
    audio_bytes: int = 0


async def take_turn(socket: ClientConnection, question: str, tally: Tally) -> float:
    """Ask once, and listen; return when the answer has been played, on the monotonic clock."""
    await socket.send(orjson.dumps({"type": "text", "text": question}).decode())
    heard, first_at = 0, 0.0
    while True:
        message = await socket.recv()
        now = time.monotonic()
        if isinstance(message, bytes):
            size, head = len(message), message[:8]
        else:
            event = orjson.loads(message)
            if event["type"] == "done":
                break
            if event["type"] != "tts_chunk":
                continue
            encoded = event["audio_base64"]
            size = len(encoded) * 3 // 4 - encoded.count("=", -2)
            head = base64.b64decode(encoded[:12])
        if not heard:
            first_at = now
            tally.overheads_ms.append((now - stamped_at(head)) * 1000)
        heard += size
    tally.turns += 1
    tally.whole += heard == AUDIO_BYTES[question]
    tally.audio_bytes += heard
    return first_at + heard / BYTES_PER_S


async def call(number: int, plan: dict[str, Any], ready: "Gate", tally: Tally) -> None:
    """Hold one session."""
    async with connect(
        f"{plan['url']}{plan['name']}-{number}/",
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
    ) as socket:
        if plan["framing"] == "binary":
            await socket.send('{"type":"configure","output":{"framing":"binary"}}')
        await ready.passed()
        answer_s = AUDIO_BYTES[plan["question"]] / BYTES_PER_S
        spread_s = answer_s if plan["listening"] else answer_s / SPEED
        await asyncio.sleep(random.Random(number).uniform(0, spread_s))  # noqa: S311 - no secret
        until = time.monotonic() + plan["for_s"]
        for _ in range(plan["turns"]):
            if time.monotonic() >= until:
                return
            played_at = await take_turn(socket, plan["question"], tally)
            if plan["listening"]:
                await asyncio.sleep(max(0.0, played_at - time.monotonic()))


class Gate:
    """Opens for all when all are there and the word was given."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self.complete = asyncio.Event()
        self.opened = asyncio.Event()

    async def passed(self) -> None:
        """Arrive, and wait."""
        self._missing -= 1
        if not self._missing:
            self.complete.set()
        await self.opened.wait()


async def main(plan: dict[str, Any]) -> None:
    """Carry out the plan."""
    tally, gate = Tally(), Gate(plan["sessions"])
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        for number in range(plan["sessions"]):
            tasks.create_task(call(number, plan, gate, tally))
            await asyncio.sleep(0.002)  # a backlog is not what is measured
        await gate.complete.wait()
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        gate.opened.set()
    audio_s = tally.audio_bytes / BYTES_PER_S
    heard = {
        "overheads_ms": [round(ms, 3) for ms in tally.overheads_ms],
        "turns": tally.turns,
        "whole": tally.whole,
        "audio_s": audio_s,
    }
    print(json.dumps(heard), flush=True)


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
