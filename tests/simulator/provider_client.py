"""A client of the provider, written from its documentation only."""

import asyncio
import base64
import io
import json
import wave
from array import array
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from app.simulator import Simulator

TTS_PATH, STT_PATH = "/v1/realtime/tts-stream", "/v1/realtime/stt"

TEXT = "شحنتك وصلت إلى مدينة الرياض صباح اليوم."
ACK = {"type": "ack", "payload": {"message": "Real time text to speach connection establesh"}}
END = {"type": "end", "payload": {"message": "End of TTS stream"}}


def tts_payload(text: str = TEXT, **extra: Any) -> dict[str, Any]:
    return {"text": text, "speaker": "Majd", "dialect": "ksa", "mulaw": False, **extra}


def wav_file(pcm: bytes, rate_hz: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return buffer.getvalue()


def stt_payload(audio: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(audio).decode()
    return {"audioBase64": encoded, "language": "ar", "isEosEnabled": True, "eosThreshold": 0.3}


SPEECH = stt_payload(wav_file(array("h", [0, 8_000] * 1_600).tobytes()))
SILENCE = stt_payload(wav_file(array("h", [0, 90] * 1_600).tobytes()))


async def last_request_ended(sim: Simulator) -> None:
    """Wait until the last request is over, which only the loop that serves it can tell."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(10):
        while sim.requests[-1].ended_at is None:
            await client.get(sim.urls.control_url)


@dataclass
class ReceivedStream:
    """The frames of one request, in order: bytes are audio, dicts are control."""

    frames: list[bytes | dict[str, Any]] = field(default_factory=list)

    @property
    def chunks(self) -> list[bytes]:
        return [frame for frame in self.frames if isinstance(frame, bytes)]

    @property
    def audio(self) -> bytes:
        return b"".join(self.chunks)


class ProviderClient:
    """Open sockets to a simulator, and send requests on them."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    def open(self, key: str = "key", **options: Any) -> connect:
        headers = {"X-Api-Key": key} if key else {}
        options.setdefault("proxy", None)
        return connect(self._sim.urls.hamsa_ws_url, additional_headers=headers, **options)

    @staticmethod
    async def send(ws: ClientConnection, kind: str, payload: dict[str, Any]) -> None:
        await ws.send(json.dumps({"type": kind, "payload": payload}))

    @staticmethod
    async def receive_control(ws: ClientConnection) -> dict[str, Any]:
        frame = await ws.recv()
        assert isinstance(frame, str)
        message = json.loads(frame)
        assert isinstance(message, dict)
        return message

    async def synthesize(
        self, ws: ClientConnection, text: str = TEXT, **extra: Any
    ) -> ReceivedStream:
        """Send a request, and receive up to `end` or `error`."""
        await self.send(ws, "tts", tts_payload(text, languageId="ar", **extra))
        stream = ReceivedStream()
        while True:
            frame = await ws.recv()
            if isinstance(frame, bytes):
                stream.frames.append(frame)
                continue
            message = json.loads(frame)
            stream.frames.append(message)
            if message["type"] in ("end", "error"):
                return stream
