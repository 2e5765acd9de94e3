"""Transports of the system that Nabra replaces, re-created from reports on it for comparison.

One opened a socket for each request, the other kept one socket per session. Both took a response
for complete from 10,000 bytes on, waited 2 s for more audio after each `end`, and retried after 1 s
and 2 s. By then they had passed on the audio of the failed attempt.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from app.audio import PCM16_16K
from app.errors import ConnectionLostError
from app.serving import process as server
from app.settings import Settings, load
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports import composition
from app.transports.base import Attempt, Speech, SpeechRequest, SpeechSynthesizer, Urgency
from app.transports.composition import FindTransport
from app.transports.options import SpeechOptions

RETRIES = 2
BACKOFF_S = (1.0, 2.0)
AFTER_END_S = 2.0
MIN_AUDIO_BYTES = 10_000
REQUEST_TIMEOUT_S = 30.0

SETTINGS = {
    "TTS_LOOKAHEAD": "0",  # a sentence was requested when the one before it was complete
    "FIRST_CHUNK_MIN_CHARS": "0",  # sentences of 50 characters or more, the first one included
    "STT_TRANSPORT": "rest",  # so that only this transport opens sockets
}


class NewSocketTransport(SpeechSynthesizer):
    """Opens a socket for every request, and closes it afterwards."""

    name = "new-socket"

    def __init__(self, settings: Settings) -> None:
        assert settings.hamsa_api_key is not None
        self._url = settings.hamsa_ws_url
        self._key = settings.hamsa_api_key.get_secret_value()
        self._dialect = settings.tts_dialect
        self._speaker = settings.tts_speaker

    def synthesize(self, request: SpeechRequest, urgency: Urgency) -> Speech:
        """Synthesize one sentence; unlike Nabra's transports, do not wait for the first audio."""
        return LegacySpeech(self, request)

    async def acquire(self) -> ClientConnection:
        """Return a socket for one request."""
        headers = {"X-Api-Key": self._key}
        socket = await connect(self._url, additional_headers=headers, compression=None, proxy=None)
        await socket.recv()  # the provider's greeting
        return socket

    async def release(self, socket: ClientConnection, *, complete: bool) -> None:
        """End the request; `complete` tells whether its response was taken for complete."""
        await socket.close()

    def message(self, text: str) -> str:
        """Encode a request."""
        voice = {"speaker": self._speaker, "dialect": self._dialect, "languageId": "ar"}
        return json.dumps({"type": "tts", "payload": {"text": text, **voice, "mulaw": False}})


class PersistentSocketTransport(NewSocketTransport):
    """Keeps one socket until a response fails; it serves one session only."""

    name = "persistent-socket"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._socket: ClientConnection | None = None

    async def acquire(self) -> ClientConnection:
        """Return the socket, opened again if it was closed."""
        if self._socket is None or self._socket.state is not State.OPEN:
            self._socket = await super().acquire()
        return self._socket

    async def release(self, socket: ClientConnection, *, complete: bool) -> None:
        """Keep the socket if the response was complete, else close it."""
        if not complete:
            self._socket = None
            await socket.close()


class LegacySpeech(Speech):
    """The audio of one sentence, failed attempts included."""

    format = PCM16_16K

    def __init__(self, transport: NewSocketTransport, request: SpeechRequest) -> None:
        self.attempts: list[Attempt] = []
        self._transport = transport
        self._request = request

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        """Release nothing: each attempt has released its socket."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(1 + RETRIES):
            received = 0
            async for chunk in self._attempt():
                received += len(chunk)
                yield chunk
            if received > MIN_AUDIO_BYTES or number == RETRIES:
                return
            await asyncio.sleep(BACKOFF_S[number])

    async def _attempt(self) -> AsyncIterator[bytes]:
        """Yield the audio as it arrives: what a failed attempt brought has been passed on."""
        now = asyncio.get_running_loop().time
        attempt = Attempt(self._transport.name, started_at=now(), delivered=True)
        self.attempts.append(attempt)
        socket = await self._transport.acquire()
        sent_at, received = now(), 0
        try:
            await socket.send(self._transport.message(self._request.text))
            async for chunk in _audio_from(socket):
                if not received:
                    attempt.ttfb_ms = (now() - sent_at) * 1000
                received += len(chunk)
                yield chunk
        except ConnectionClosed:
            attempt.fault = ConnectionLostError.code
            raise ConnectionLostError("the socket was closed") from None
        finally:
            attempt.total_ms = (now() - attempt.started_at) * 1000
            await self._transport.release(socket, complete=received > MIN_AUDIO_BYTES)


async def _audio_from(socket: ClientConnection) -> AsyncIterator[bytes]:
    """Yield audio until none has come for 2 s after the `end`."""
    timeout_s = REQUEST_TIMEOUT_S
    while True:
        try:
            async with asyncio.timeout(timeout_s):
                frame = await socket.recv()
        except TimeoutError:
            return
        if isinstance(frame, bytes):
            yield frame
        elif json.loads(frame)["type"] == "end":
            timeout_s = AFTER_END_S


TRANSPORTS = {kind.name: kind for kind in (NewSocketTransport, PersistentSocketTransport)}


def serve(name: str) -> None:
    """Run a gateway that uses this transport alone, without the resilient wrapper."""

    def compose(
        options: SpeechOptions, find: FindTransport, metrics: SpeechMetrics
    ) -> SpeechSynthesizer:
        return TRANSPORTS[name](load())

    # Not as a plug-in: plug-ins get the wrapper's retries and hold-back, which is what is compared.
    vars(composition)["compose"] = compose
    server.serve()
