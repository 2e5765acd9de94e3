"""Callers that talk, interrupt and leave as they like: seeded, so that a run can be made again."""

import asyncio
import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from app.audio import PCM16_16K, wav

WAV_HEADER_BYTES = 44
FRAME_BYTES = 3200  # 100 ms
PATIENCE_S = 60
"""Longest that a caller waits for the end of an answer before the gateway counts as stuck."""

HANDS_FREE = 0.3
"""Share of the callers that let the gateway hear when they speak."""
SILENCE_S = 0.8
"""Pause that ends what they say."""

_LINES = ("مرحبا", "أين شحنتي؟", "ممكن تغير العنوان إلى حي الياسمين؟", "مشكور، ما قصرت.")


def speech(path: Path) -> bytes:
    """Return a second of a recording as PCM16 at 16 kHz."""
    return path.read_bytes()[WAV_HEADER_BYTES:][: PCM16_16K.bytes_per_second]


@dataclass
class Deeds:
    """What all callers together did, and what they were told."""

    done: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


class RestlessCaller:
    """Calls, and each time does something else; `pause_s` is the longest it is quiet."""

    def __init__(
        self, url: str, pcm: bytes, random: Random, deeds: Deeds, *, pause_s: float = 0.0
    ) -> None:
        self._url = url
        self._pcm = pcm
        self._random = random
        self._deeds = deeds
        self._pause_s = pause_s
        self._hands_free = False

    async def call(self) -> None:
        """Hold one session, from the connection to a farewell or to none."""
        async with (
            asyncio.timeout(PATIENCE_S),
            # a client that reads no more must not be what the farewell waits for
            connect(
                self._url, compression=None, max_size=None, max_queue=None, proxy=None
            ) as socket,
        ):
            self._deeds.done["sessions"] += 1
            await self._configure(socket)
            for _ in range(self._random.randint(1, 4)):
                await self._say(socket)
                if await self._react(socket):
                    return

    async def _configure(self, socket: ClientConnection) -> None:
        framing = self._random.choice(("base64", "binary"))
        self._hands_free = self._random.random() < HANDS_FREE
        self._deeds.done["hands-free"] += self._hands_free
        await _send(
            socket,
            {
                "type": "configure",
                "output": {"framing": framing},
                "input": {"encoding": "pcm_s16le", "sample_rate": 16_000},
                "turn_detection": "server_vad" if self._hands_free else "none",
            },
        )

    async def _say(self, socket: ClientConnection) -> None:
        how = self._random.choice(("recording", "text", "stream", "half"))
        self._deeds.done[how] += 1
        if how == "recording":
            audio = base64.b64encode(wav(self._pcm, PCM16_16K)).decode()
            await _send(socket, {"audio_base64": audio})
        elif how == "text":
            await _send(socket, {"type": "text", "text": self._random.choice(_LINES)})
        else:
            frames = range(0, len(self._pcm), FRAME_BYTES)
            for at in frames if how == "stream" else frames[: len(frames) // 2]:
                await socket.send(self._pcm[at : at + FRAME_BYTES])
            if how == "stream" and self._hands_free:
                await socket.send(bytes(round(PCM16_16K.bytes_per_second * SILENCE_S)))
            elif how == "stream":
                await _send(socket, {"type": "audio_end"})
            else:  # and something else, while this is kept for the next utterance
                await _send(socket, {"type": "text", "text": self._random.choice(_LINES)})

    async def _react(self, socket: ClientConnection) -> bool:
        """Take some of the answer, and then do something; tell whether the caller is gone."""
        how = self._random.choice(("listen", "talk over", "interrupt", "hang up", "vanish"))
        self._deeds.done[how] += 1
        await self._listen(socket, None if how == "listen" else self._random.randint(0, 25))
        await asyncio.sleep(self._random.uniform(0, self._pause_s))
        if how == "interrupt":
            await _send(socket, {"type": "interrupt"})
        elif how == "vanish":
            socket.transport.abort()  # as a phone does in a tunnel
        return how in ("hang up", "vanish")

    async def _listen(self, socket: ClientConnection, most: int | None) -> None:
        """Take so many events, or all, up to the end of the turn."""
        taken = 0
        while most is None or taken < most:
            taken += 1
            frame = await socket.recv()
            if isinstance(frame, bytes):
                continue
            event: dict[str, Any] = json.loads(frame)
            if event["type"] == "error":
                self._deeds.errors[event["code"]] += 1
            if event["type"] == "done":
                self._deeds.done["heard to the end"] += 1
                return


async def _send(socket: ClientConnection, message: object) -> None:
    await socket.send(json.dumps(message))
