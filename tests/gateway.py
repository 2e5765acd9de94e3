"""A whole gateway on a free port, and a client that speaks the wire and nothing else."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from app.main import create_app
from app.serving.admission import Admission, AdmissionCollector
from app.serving.process import connection_limits, listen, server_config
from app.settings import Settings
from app.simulator import Simulator

DATA = Path(__file__).parent / "data"
ARABIC_WAV = (DATA / "arabic.wav").read_bytes()

Event = dict[str, Any]


def settings_for(simulator: Simulator, **changes: Any) -> Settings:
    """Settings that take this simulator for the real providers."""
    values: dict[str, Any] = {
        "hamsa_api_key": "test-key",
        "hamsa_ws_url": simulator.urls.hamsa_ws_url,
        "hamsa_rest_url": simulator.urls.hamsa_rest_url,
        "hamsa_rest_http2": "prior_knowledge",
        "hamsa_linger_s": 0.05,
        "agent_webhook_url": simulator.urls.agent_webhook_url,
        "log_level": "warning",
    }
    return Settings(_env_file=None, **{**values, **changes})  # type: ignore[call-arg]


@asynccontextmanager
async def running_gateway(settings: Settings, *, port: int = 0) -> AsyncIterator[str]:
    """Serve on a port of this process, by default a free one; gives the endpoint's address."""
    listener = listen("127.0.0.1", port)
    admission = Admission(connection_limits(settings))
    app = create_app(settings, collectors=[AdmissionCollector(admission)])
    server = uvicorn.Server(server_config(app, settings, admission))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/agent/"
    finally:
        server.should_exit = True
        await task
        listener.close()


@dataclass
class Caller:
    """A client of the wire."""

    socket: ClientConnection

    async def send(self, message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def say(self, audio: bytes = ARABIC_WAV) -> None:
        await self.send({"audio_base64": base64.b64encode(audio).decode()})

    async def next(self) -> Event:
        event: Event = json.loads(await self.socket.recv())
        return event

    async def until(self, *types: str) -> list[Event]:
        """Take events up to the first of these types."""
        events = [await self.next()]
        while events[-1]["type"] not in types:
            events.append(await self.next())
        return events


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """Connect, and take the greeting."""
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        caller = Caller(socket)
        await caller.until("status")
        yield caller


def audio_of(events: list[Event]) -> bytes:
    return b"".join(
        base64.b64decode(event["audio_base64"]) for event in events if event["type"] == "tts_chunk"
    )


def of_type(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]
