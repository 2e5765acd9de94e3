"""A gateway as a process of its own, and a caller that takes the time."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

RECORDING = Path(__file__).parent.parent / "tests" / "data" / "arabic.wav"

Event = dict[str, Any]


@asynccontextmanager
async def gateway(**settings: str) -> AsyncIterator[str]:
    """Serve on a free port with these settings; gives the address of the endpoint."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from app.main import serve; serve()",
        env={**os.environ, "PORT": "0", "LOG_LEVEL": "warning", **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = b""
        while not line.startswith(b"Open"):
            line = await process.stdout.readline()
            if not line:
                raise RuntimeError("the gateway did not start")
        yield line.split()[1].decode().replace("http", "ws") + "/ws/agent/"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass
class TimedTurn:
    """The events of one turn, each with its time in seconds since the turn was begun."""

    events: list[tuple[float, Event]] = field(default_factory=list)

    def first(self, kind: str) -> tuple[float, Event]:
        """Return the first event of a kind. Raises `LookupError` when there is none."""
        for at, event in self.events:
            if event["type"] == kind:
                return at, event
        raise LookupError(f"no {kind} among {[event['type'] for _, event in self.events]}")


@asynccontextmanager
async def caller(url: str) -> AsyncIterator[ClientConnection]:
    """Connect as a client does."""
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        yield socket


async def take_turn(socket: ClientConnection, message: Event) -> TimedTurn:
    """Send a message, and take events until the turn is done."""
    loop = asyncio.get_running_loop()
    turn = TimedTurn()
    started_at = loop.time()
    await socket.send(json.dumps(message))
    async with asyncio.timeout(120):
        while not turn.events or turn.events[-1][1]["type"] != "done":
            event: Event = json.loads(await socket.recv())
            turn.events.append((loop.time() - started_at, event))
    return turn


def spoken() -> Event:
    """Return an utterance as a client sends it."""
    return {"audio_base64": base64.b64encode(RECORDING.read_bytes()).decode()}
