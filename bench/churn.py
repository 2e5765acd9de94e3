"""Churn: callers that connect, talk, interrupt and disconnect at random, with a fixed seed."""

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
CALL_TIMEOUT_S = 30
"""Longest call; after it the gateway counts as stuck."""

HANDS_FREE_SHARE = 0.3
"""Share of the calls that use server-side turn detection."""
SILENCE_S = 0.8
"""Pause that ends an utterance in such a call."""

_LINES = ("مرحبا", "أين شحنتي؟", "ممكن تغير العنوان إلى حي الياسمين؟", "مشكور، ما قصرت.")


def one_second_of(recording: Path) -> bytes:
    """Return the first second of a recording as PCM16 at 16 kHz."""
    return recording.read_bytes()[WAV_HEADER_BYTES:][: PCM16_16K.bytes_per_second]


@dataclass
class ChurnStats:
    """What all callers together did, and the error codes they received."""

    actions: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


class ChurnCaller:
    """Makes calls that differ at random; `pause_s` is the longest pause within a call."""

    def __init__(
        self, url: str, pcm: bytes, random: Random, stats: ChurnStats, *, pause_s: float = 0.0
    ) -> None:
        self._url = url
        self._pcm = pcm
        self._random = random
        self._stats = stats
        self._pause_s = pause_s
        self._hands_free = False

    async def call(self) -> None:
        """Hold one session, and leave it with or without a close."""
        async with (
            asyncio.timeout(CALL_TIMEOUT_S),
            # without `max_queue`, else an unread queue would hold up the close handshake
            connect(
                self._url, compression=None, max_size=None, max_queue=None, proxy=None
            ) as socket,
        ):
            self._stats.actions["sessions"] += 1
            await self._configure(socket)
            for _ in range(self._random.randint(1, 4)):
                await self._send_input(socket)
                if await self._react(socket):
                    return

    async def _configure(self, socket: ClientConnection) -> None:
        framing = self._random.choice(("base64", "binary"))
        self._hands_free = self._random.random() < HANDS_FREE_SHARE
        self._stats.actions["hands-free"] += self._hands_free
        await _send(
            socket,
            {
                "type": "configure",
                "output": {"framing": framing},
                "input": {"encoding": "pcm_s16le", "sample_rate": 16_000},
                "turn_detection": "server_vad" if self._hands_free else "none",
            },
        )

    async def _send_input(self, socket: ClientConnection) -> None:
        """Send one turn's input: a recording, a text, a stream, or half a stream and a text."""
        how = self._random.choice(("recording", "text", "stream", "half stream"))
        self._stats.actions[how] += 1
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
            else:  # the half stream stays buffered for the next utterance
                await _send(socket, {"type": "text", "text": self._random.choice(_LINES)})

    async def _react(self, socket: ClientConnection) -> bool:
        """Receive a part of the response, then act; tell whether the caller has left."""
        how = self._random.choice(("listen", "talk over", "interrupt", "close", "abort"))
        self._stats.actions[how] += 1
        await self._receive(socket, None if how == "listen" else self._random.randint(0, 25))
        await asyncio.sleep(self._random.uniform(0, self._pause_s))
        if how == "interrupt":
            await _send(socket, {"type": "interrupt"})
        elif how == "abort":
            socket.transport.abort()  # as when a phone loses its network
        return how in ("close", "abort")

    async def _receive(self, socket: ClientConnection, most: int | None) -> None:
        """Receive at most `most` events, or with None all, up to the end of the turn."""
        received = 0
        while most is None or received < most:
            received += 1
            frame = await socket.recv()
            if isinstance(frame, bytes):
                continue
            event: dict[str, Any] = json.loads(frame)
            if event["type"] == "error":
                self._stats.errors[event["code"]] += 1
            if event["type"] == "done":
                self._stats.actions["completed"] += 1
                return


async def _send(socket: ClientConnection, message: object) -> None:
    await socket.send(json.dumps(message))
