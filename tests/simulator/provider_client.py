"""A client of the provider, written from its documentation only."""

import asyncio
import base64
import json
import struct
from array import array
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from app.simulator import Simulator

TEXT = "شحنتك وصلت إلى مدينة الرياض صباح اليوم."
ACK = {"type": "ack", "payload": {"message": "Real time text to speach connection establesh"}}
END = {"type": "end", "payload": {"message": "End of TTS stream"}}


def payload(text: str = TEXT, **extra: Any) -> dict[str, Any]:
    return {"text": text, "speaker": "Majd", "dialect": "ksa", "mulaw": False, **extra}


def wav(pcm: bytes, rate_hz: int = 16_000) -> bytes:
    fmt = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz * 2, 2, 16)
    size = 4 + 8 + len(fmt) + 8 + len(pcm)
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt
    return head + b"data" + struct.pack("<I", len(pcm)) + pcm


def utterance(audio: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(audio).decode()
    return {"audioBase64": encoded, "language": "ar", "isEosEnabled": True, "eosThreshold": 0.3}


VOICED = utterance(wav(array("h", [0, 8_000] * 1_600).tobytes()))
SILENT = utterance(wav(array("h", [0, 90] * 1_600).tobytes()))


async def ended(sim: Simulator) -> None:
    """Wait until the last request is over, which only the loop that serves it can tell."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(10):
        while sim.requests[-1].ended_at is None:
            await client.get(sim.urls.control_url)


@dataclass
class Answer:
    """What came for one request, in order: bytes are audio, dicts are control."""

    frames: list[Any] = field(default_factory=list)

    @property
    def chunks(self) -> list[bytes]:
        return [frame for frame in self.frames if isinstance(frame, bytes)]

    @property
    def audio(self) -> bytes:
        return b"".join(self.chunks)


class Provider:
    """Open sockets to a simulator and ask on them."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    def open(self, key: str = "key", **options: Any) -> connect:
        headers = {"X-Api-Key": key} if key else {}
        options.setdefault("proxy", None)
        return connect(self._sim.urls.hamsa_ws_url, additional_headers=headers, **options)

    @staticmethod
    async def send(ws: ClientConnection, kind: str, content: dict[str, Any]) -> None:
        await ws.send(json.dumps({"type": kind, "payload": content}))

    @staticmethod
    async def control(ws: ClientConnection) -> dict[str, Any]:
        frame = await ws.recv()
        assert isinstance(frame, str)
        return json.loads(frame)

    async def speak(self, ws: ClientConnection, text: str = TEXT, **extra: Any) -> Answer:
        """Ask for speech and read to `end` or `error`."""
        await self.send(ws, "tts", payload(text, languageId="ar", **extra))
        answer = Answer()
        while True:
            frame = await ws.recv()
            answer.frames.append(json.loads(frame) if isinstance(frame, str) else frame)
            if isinstance(frame, str) and answer.frames[-1]["type"] in ("end", "error"):
                return answer
