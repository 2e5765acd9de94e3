"""A whole gateway on a free port, a client of its protocol, and a reader of its metrics."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from websockets.asyncio.client import ClientConnection, connect

from app.main import create_app
from app.serving.admission import Admission, AdmissionCollector
from app.serving.process import connection_limits, listen, server_config
from app.serving.server import DrainingServer
from app.settings import Settings
from app.simulator import Simulator, SimulatorConfig

DATA = Path(__file__).parent / "data"
ARABIC_WAV = (DATA / "arabic.wav").read_bytes()

Event = dict[str, Any]


class GivenSettings(Settings):
    """Settings that look for no source, which takes most of the time to make them."""

    def __init__(self, **values: Any) -> None:
        BaseModel.__init__(self, **values)


def instant_simulator(**config: Any) -> Simulator:
    """Make a simulator without delays, whose voice is a tone."""
    values = {"profile": "instant", "voice": "hum", **config}
    return Simulator(SimulatorConfig.model_validate(values))


def settings_for(simulator: Simulator, **changes: Any) -> Settings:
    """Return settings that take this simulator for the real providers."""
    values: dict[str, Any] = {
        "hamsa_api_key": "test-key",
        "hamsa_ws_url": simulator.urls.hamsa_ws_url,
        "hamsa_rest_url": simulator.urls.hamsa_rest_url,
        "hamsa_rest_http2": "prior_knowledge",
        "hamsa_linger_s": 0.05,
        "agent_webhook_url": simulator.urls.agent_webhook_url,
        "log_level": "warning",
        "max_messages_per_s": 10_000,  # tests stream faster than people speak
    }
    return GivenSettings(**{**values, **changes})


@asynccontextmanager
async def running_gateway(settings: Settings, *, port: int = 0) -> AsyncIterator[str]:
    """Serve on a port of this process, by default a free one; yield the endpoint's URL."""
    async with running_server(settings, port=port) as (_, url):
        yield url


@asynccontextmanager
async def running_server(
    settings: Settings, *, port: int = 0
) -> AsyncIterator[tuple[DrainingServer, str]]:
    """Serve as above; yield the server as well, for tests of how it ends."""
    listener = listen("127.0.0.1", port)
    admission = Admission(connection_limits(settings))
    app = create_app(settings, collectors=[AdmissionCollector(admission)])
    server = DrainingServer(server_config(app, settings, admission), app.state.drain)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield server, f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/agent/"
    finally:
        server.should_exit = True
        await task
        listener.close()


@dataclass
class Caller:
    """A client that sends and receives wire messages."""

    socket: ClientConnection

    async def send(self, message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def send_audio(self, audio: bytes = ARABIC_WAV) -> None:
        """Send one whole utterance."""
        await self.send({"audio_base64": base64.b64encode(audio).decode()})

    async def stream(self, audio: bytes, frame_bytes: int) -> None:
        """Send audio in binary frames."""
        for at in range(0, len(audio), frame_bytes):
            await self.socket.send(audio[at : at + frame_bytes])

    async def configure(self, **wanted: Any) -> Event:
        """Ask for a configuration; return the reply, `configured` or `error`."""
        await self.send({"type": "configure", **wanted})
        return (await self.until("configured", "error"))[-1]

    async def next(self) -> Event:
        event: Event = json.loads(await self.socket.recv())
        return event

    async def until(self, *types: str) -> list[Event]:
        """Receive events up to the first of these types."""
        events = [await self.next()]
        while events[-1]["type"] not in types:
            events.append(await self.next())
        return events

    async def turn_frames(self) -> tuple[list[Event], bytes]:
        """Receive a turn with binary framing: its events, and its audio."""
        events: list[Event] = []
        audio = b""
        while not events or events[-1]["type"] != "done":
            frame = await self.socket.recv()
            if isinstance(frame, bytes):
                audio += frame
            else:
                events.append(json.loads(frame))
        return events, audio


@asynccontextmanager
async def calling(url: str, **headers: str) -> AsyncIterator[Caller]:
    """Connect with these headers, `_` standing for `-`, and receive the first events."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with connect(
        url, compression=None, max_size=None, proxy=None, additional_headers=fields
    ) as socket:
        caller = Caller(socket)
        await caller.until("status")
        yield caller


def audio_of(events: list[Event]) -> bytes:
    return b"".join(
        base64.b64decode(event["audio_base64"]) for event in events if event["type"] == "tts_chunk"
    )


def of_type(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def expected_audio(simulator: Simulator, events: list[Event]) -> bytes:
    """Return the audio of the provider for the sentences of these events."""
    return b"".join(
        simulator.expected_audio(event["text"]) for event in of_type(events, "sentence")
    )
