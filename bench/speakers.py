"""Ways in which a caller asks: typed, as a recording, or from a microphone."""

import asyncio
import math
import time
from typing import Literal, Protocol

import orjson
import pybase64

from app.settings import Settings
from app.vad.voice_detector import WINDOW_MS
from bench import spoken_line
from bench.spoken_line import FRAME_BYTES, FRAME_S

Input = Literal["typed", "wav", "webm", "streamed", "hands-free"]
"""How a turn is asked for. `wav` and `webm` are whole recordings in base64, `streamed` is PCM16 in
binary frames with an `audio_end`, `hands-free` a microphone that stays open."""

_SILENCE_MS: int = Settings.model_fields["vad_silence_ms"].default

PAUSE_MS = math.ceil(_SILENCE_MS / WINDOW_MS) * WINDOW_MS
"""The pause that ends an utterance, in whole windows of the detector."""


class ClientSocket(Protocol):
    """The caller's socket."""

    async def send(self, message: str | bytes) -> None:
        """Send a text or a binary message."""


class Speaker(Protocol):
    """Asks, and knows when the question was complete."""

    ended_at: float
    """When the end of the last question was sent, on the monotonic clock. Hands-free it is the end
    of the pause, and known when the gateway has told where the utterance ends."""

    async def open(self) -> None:
        """Configure the session for this way."""

    async def ask(self) -> None:
        """Ask once."""

    def on_speech_stopped(self, audio_end_ms: float) -> None:
        """Take the end of the utterance, in milliseconds of the stream."""

    async def close(self) -> None:
        """Stop all that `open` started."""


class MessageSpeaker:
    """Asks by one message: text, or a whole recording."""

    def __init__(self, socket: ClientSocket, message: bytes) -> None:
        self.ended_at = 0.0
        self._socket = socket
        self._message = message.decode()

    async def open(self) -> None:
        """Configure nothing."""

    async def ask(self) -> None:
        """Send the message."""
        self.ended_at = time.monotonic()
        await self._socket.send(self._message)

    def on_speech_stopped(self, audio_end_ms: float) -> None:
        """Ignore it: a message has no end of its own."""

    async def close(self) -> None:
        """Stop nothing."""


class StreamSpeaker:
    """Streams at a microphone's pace, and says itself when it has ended (push to talk)."""

    def __init__(self, socket: ClientSocket, pcm: bytes) -> None:
        self.ended_at = 0.0
        self._socket = socket
        self._pcm = pcm

    async def open(self) -> None:
        """Name the format of the stream."""
        message = {"type": "configure", "input": {"encoding": "pcm_s16le", "sample_rate": 16_000}}
        await self._socket.send(orjson.dumps(message).decode())

    async def ask(self) -> None:
        """Stream the line, and end it."""
        started_at = time.monotonic()
        for number, frame in enumerate(_frames(self._pcm), start=1):
            # a frame leaves when its last sample has been recorded
            await asyncio.sleep(max(0.0, started_at + number * FRAME_S - time.monotonic()))
            await self._socket.send(frame)
        self.ended_at = time.monotonic()
        await self._socket.send('{"type":"audio_end"}')

    def on_speech_stopped(self, audio_end_ms: float) -> None:
        """Ignore it: `audio_end` was the end."""

    async def close(self) -> None:
        """Stop nothing."""


class HandsFreeSpeaker:
    """Streams silence without end, and in it lines; the gateway hears where they end."""

    def __init__(self, socket: ClientSocket, pcm: bytes) -> None:
        self.ended_at = 0.0
        self._socket = socket
        self._pcm = pcm
        self._to_say: asyncio.Queue[bytes] = asyncio.Queue()
        self._sent_at: list[float] = []
        self._microphone: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Switch turn detection on, and open the microphone."""
        await self._socket.send('{"type":"configure","turn_detection":"server_vad"}')
        self._microphone = asyncio.create_task(self._stream())

    async def ask(self) -> None:
        """Say the line from the next frame on; return at once."""
        for frame in _frames(self._pcm):
            self._to_say.put_nowait(frame)

    def on_speech_stopped(self, audio_end_ms: float) -> None:
        """Find out when the frame was sent that completed the pause."""
        frame = math.ceil((audio_end_ms + PAUSE_MS) / (1000 * FRAME_S)) - 1
        self.ended_at = self._sent_at[min(frame, len(self._sent_at) - 1)]

    async def close(self) -> None:
        """Close the microphone."""
        if self._microphone is not None:
            self._microphone.cancel()
            await asyncio.wait([self._microphone])

    async def _stream(self) -> None:
        started_at = time.monotonic()
        while True:
            next_at = started_at + (len(self._sent_at) + 1) * FRAME_S
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            frame = bytes(FRAME_BYTES) if self._to_say.empty() else self._to_say.get_nowait()
            self._sent_at.append(time.monotonic())
            await self._socket.send(frame)


def speaker(input: Input, socket: ClientSocket, question: str = "") -> Speaker:
    """Return a speaker of this kind; `question` is what it types, or else the recorded line."""
    match input:
        case "typed":
            return MessageSpeaker(socket, orjson.dumps({"type": "text", "text": question}))
        case "wav":
            return MessageSpeaker(socket, _recording(spoken_line.wav_recording()))
        case "webm":
            return MessageSpeaker(socket, _recording(spoken_line.webm_recording()))
        case "streamed":
            return StreamSpeaker(socket, spoken_line.pcm())
        case "hands-free":
            return HandsFreeSpeaker(socket, spoken_line.pcm())


def _recording(data: bytes) -> bytes:
    return orjson.dumps({"audio_base64": pybase64.b64encode_as_string(data)})


def _frames(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
