"""What the baseline takes from its client, with as little work as any relay must do for it.

A WAV is taken to be what the provider accepts, and its base64 is passed on unread. Compressed
recordings are decoded by PyAV, in a thread. Of a stream that nobody ends, digital silence is the
pause: there is no model of speech. Nothing of the gateway is imported.
"""

import asyncio
import io
import struct
from dataclasses import dataclass

import orjson
import pybase64

FRAME_MS = 20
"""Length of the binary messages in which callers stream (`bench/spoken_line.py`)."""

SILENCE = bytes(640)
"""A frame of it, PCM16 at 16 kHz."""

PAUSE_FRAMES = 26
"""Frames of silence that end an utterance: as the gateway's pause, 512 ms, in whole frames."""

WAV_BASE64 = "UklGR"
"""How `RIFF` begins in base64."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A spoken question: base64 of a recording, or PCM16 at 16 kHz out of a stream."""

    audio: str | bytes
    end_ms: float | None = None
    """Where its speech ends in the stream, when a pause ended it."""

    async def wav_base64(self) -> str:
        """Return it as the provider accepts it."""
        if isinstance(self.audio, bytes):
            return pybase64.b64encode_as_string(wav(self.audio))
        if self.audio.startswith(WAV_BASE64):
            return self.audio
        pcm = await asyncio.to_thread(decode, pybase64.b64decode(self.audio))
        return pybase64.b64encode_as_string(wav(pcm))


Question = str | Utterance
"""A string is typed."""


class ClientInput:
    """Makes questions of the messages of one client, and keeps what it has configured."""

    def __init__(self) -> None:
        self.is_binary = False
        """Whether it wants its audio in binary messages."""
        self._detects_turns = False
        self._frames: list[bytes] = []
        self._heard = 0
        """Frames of the stream so far."""
        self._silent = 0
        """Silent frames at its end."""

    def feed(self, message: str | bytes) -> Question | None:
        """Take a message; return the question that it completes."""
        if isinstance(message, bytes):
            return self._hear(message)
        request = orjson.loads(message)
        match request.get("type"):
            case "configure":
                self._configure(request)
                return None
            case "audio_end":
                return self._take(None)
            case "text":
                text: str = request["text"]
                return text
            case _:
                return Utterance(request["audio_base64"])

    def _configure(self, request: dict[str, object]) -> None:
        if isinstance(output := request.get("output"), dict):
            self.is_binary = output["framing"] == "binary"
        self._detects_turns |= request.get("turn_detection") == "server_vad"

    def _hear(self, frame: bytes) -> Utterance | None:
        self._heard += 1
        self._silent = self._silent + 1 if frame == SILENCE else 0
        if self._detects_turns and not self._frames and self._silent:
            return None
        self._frames.append(frame)
        if not self._detects_turns or self._silent < PAUSE_FRAMES:
            return None
        return self._take((self._heard - self._silent) * FRAME_MS)

    def _take(self, end_ms: float | None) -> Utterance:
        pcm, self._frames = b"".join(self._frames), []
        return Utterance(pcm, end_ms)


def wav(pcm: bytes) -> bytes:
    """Return a WAV file of PCM16, 16 kHz, mono."""
    sizes = struct.pack("<I", 36 + len(pcm)), struct.pack("<I", len(pcm))
    format = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    return b"".join((b"RIFF", sizes[0], b"WAVEfmt ", format, b"data", sizes[1], pcm))


def decode(recording: bytes) -> bytes:
    """Return the PCM16, 16 kHz, mono, of a recording of any container."""
    import av  # noqa: PLC0415 - 20 MB that only compressed recordings need

    resampler = av.AudioResampler("s16", "mono", 16_000)
    with av.open(io.BytesIO(recording), "r") as file:
        frames = [frame for each in file.decode(audio=0) for frame in resampler.resample(each)]
    frames += resampler.resample(None)
    return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)
