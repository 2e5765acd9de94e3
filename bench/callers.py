"""Callers: a process that holds many sessions, asks questions and times the audio it receives.

`python -m bench.callers PLAN` (JSON, see `load.callers`) connects, prints `ready`, starts on the
first line of its input, and prints its `CallerStats` as JSON at the end.
"""

import asyncio
import base64
import json
import random
import sys
import time
from dataclasses import asdict
from typing import Any

import orjson
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from bench.load import AUDIO_BYTES, BYTES_PER_S, SPEED, CallerStats
from bench.provider import sent_at
from bench.speakers import Speaker, speaker


async def take_turn(
    socket: ClientConnection, asking: Speaker, question: str, stats: CallerStats
) -> float:
    """Ask once and receive the response.

    Return when a player would reach the end of its audio, on the monotonic clock.
    """
    await asking.ask()
    received, first_at = 0, 0.0
    while True:
        message = await socket.recv()
        now = time.monotonic()
        if isinstance(message, bytes):
            size, head = len(message), message[:8]
        else:
            event = orjson.loads(message)
            if event["type"] == "done":
                break
            if event["type"] == "speech_stopped":
                asking.on_speech_stopped(event["audio_end_ms"])
            if event["type"] != "tts_chunk":
                continue
            encoded = event["audio_base64"]
            size = len(encoded) * 3 // 4 - encoded.count("=", -2)
            head = base64.b64decode(encoded[:12])
        if not received:
            first_at = now
            stats.overheads_ms.append(round((now - sent_at(head)) * 1000, 3))
            stats.waits_ms.append(round((now - asking.ended_at) * 1000, 3))
        received += size
    stats.turns += 1
    stats.whole += received == AUDIO_BYTES[question]
    stats.audio_bytes += received
    return first_at + received / BYTES_PER_S


async def call(
    number: int, plan: dict[str, Any], barrier: "StartBarrier", stats: CallerStats
) -> None:
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
        asking = speaker(plan["input"], socket, plan["question"])
        await asking.open()
        await barrier.wait()
        try:
            await converse(number, plan, socket, asking, stats)
        finally:
            await asking.close()


async def converse(
    number: int,
    plan: dict[str, Any],
    socket: ClientConnection,
    asking: Speaker,
    stats: CallerStats,
) -> None:
    """Take the turns of one session, after a delay that differs between sessions."""
    response_s = AUDIO_BYTES[plan["question"]] / BYTES_PER_S
    spread_s = response_s if plan["wait_for_playback"] else response_s / SPEED
    await asyncio.sleep(random.Random(number).uniform(0, spread_s))  # noqa: S311 - no secret
    until = time.monotonic() + plan["for_s"]
    for _ in range(plan["turns"]):
        if time.monotonic() >= until:
            return
        played_at = await take_turn(socket, asking, plan["question"], stats)
        if plan["wait_for_playback"]:
            await asyncio.sleep(max(0.0, played_at - time.monotonic()))


class StartBarrier:
    """Holds all sessions back until all are connected and `open` is called."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._complete = asyncio.Event()
        self._opened = asyncio.Event()

    async def wait(self) -> None:
        """Arrive, and wait until the barrier is opened."""
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        await self._opened.wait()

    async def wait_complete(self) -> None:
        """Wait until all sessions have arrived."""
        await self._complete.wait()

    def open(self) -> None:
        """Let all sessions start."""
        self._opened.set()


async def main(plan: dict[str, Any]) -> None:
    """Carry out the plan."""
    stats, barrier = CallerStats(), StartBarrier(plan["sessions"])
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        for number in range(plan["sessions"]):
            tasks.create_task(call(number, plan, barrier, stats))
            await asyncio.sleep(0.002)  # so that no backlog of connections builds up
        await barrier.wait_complete()
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        barrier.open()
    print(json.dumps(asdict(stats)), flush=True)


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
