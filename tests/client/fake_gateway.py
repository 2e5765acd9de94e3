"""A gateway on loopback that plays canned events."""

import base64
import json
from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve

from app.client.client import Event

PCM = array("h", [0, 1000, -1000, 2000] * 400).tobytes()
SESSION = {"type": "session", "session_id": "s", "protocol": 1, "seq": 0}
SENTENCE = {
    "index": 0, "chars": 12, "transport": "websocket", "attempts": 2, "connection": "reused",
    "ttfb_ms": 310.4, "audio_ms": 1200.0, "faults": ["incomplete-audio", "incomplete-audio"],
}  # fmt: skip

Script = Sequence[Mapping[str, object] | bytes | str | int]
"""What the gateway sends: events, frames as they are, or a close code."""


def chunk(audio: bytes) -> dict[str, object]:
    return {"type": "tts_chunk", "audio_base64": base64.b64encode(audio).decode()}


def turn(number: int = 1) -> list[dict[str, object]]:
    events: list[dict[str, object]] = [
        {"type": "status", "message": "جاري التفكير…", "code": "thinking"},
        {"type": "transcription", "text": "مرحبا"},
        {"type": "token", "content": "أهلا "},
        {"type": "token", "content": "وسهلا."},
        {"type": "agent_response", "text": "أهلا وسهلا."},
        {"type": "tts_start", "sample_rate": 16000, "encoding": "pcm_s16le", "channels": 1},
        {"type": "sentence", "index": 0, "text": "أهلا وسهلا."},
        chunk(PCM[:1600]),
        chunk(PCM[1600:]),
        {"type": "done", "metrics": {"stt_ms": 120.6, "sentences": [SENTENCE]}},
    ]
    return [{**event, "turn": number} for event in events]


class FakeGateway:
    """A gateway that answers each message with the next script, and keeps what it received."""

    def __init__(self, *scripts: Script, greeting: Script = (SESSION,)) -> None:
        self.scripts = list(scripts)
        self.greeting = greeting
        self.received: list[dict[str, object]] = []
        self.paths: list[str] = []
        self.url = ""

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request
        self.paths.append(connection.request.path)
        await self._play(connection, self.greeting)
        async for frame in connection:
            self.received.append(json.loads(frame))
            await self._play(connection, self.scripts.pop(0))

    async def _play(self, connection: ServerConnection, script: Script) -> None:
        for step in script:
            if isinstance(step, int):
                await connection.close(step)
            else:
                await connection.send(json.dumps(step) if isinstance(step, Mapping) else step)


@asynccontextmanager
async def running(gateway: FakeGateway) -> AsyncIterator[FakeGateway]:
    async with serve(gateway, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        gateway.url = f"ws://127.0.0.1:{port}/ws/agent/"
        yield gateway


def ignore(_event: Event) -> None:
    """Handle an event that the test does not look at."""
