"""What was in use before: a socket for each request, or one that is kept; for comparison only.

Written after reports on that system: it judged an answer by 10,000 bytes, waited 2 s for more
after each `end`, tried again after 1 s and 2 s, and had passed on by then what the failed attempt
had brought.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from app.audio import PCM16_16K
from app.errors import ConnectionLostError
from app.serving import process as server
from app.settings import Settings, load
from app.transports import composition
from app.transports.base import AudioStream, SpeechRequest, TTSTransport
from app.transports.options import SpeechOptions
from app.transports.registry import TransportContext

RETRIES = 2
BACKOFF_S = (1.0, 2.0)
AFTER_END_S = 2.0
LEAST_BYTES = 10_000
REQUEST_TIMEOUT_S = 30.0

SETTINGS = {
    "TTS_LOOKAHEAD": "0",  # a sentence was asked for when the one before it was complete
    "FIRST_CHUNK_MIN_CHARS": "0",  # sentences of 50 characters or more, also the first
    "STT_TRANSPORT": "rest",  # so that all sockets that are opened are those of this transport
}


class FreshSocketTransport(TTSTransport):
    """Opens a socket for every request, and closes it after."""

    name = "fresh-socket"

    def __init__(self, settings: Settings) -> None:
        assert settings.hamsa_api_key is not None
        self._url = settings.hamsa_ws_url
        self._key = settings.hamsa_api_key.get_secret_value()
        self._dialect = settings.tts_dialect
        self._speaker = settings.tts_speaker

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        """Speak one sentence; unlike a proper transport, enter before the first audio is there."""
        yield SeedStream(self, request)

    async def take(self) -> ClientConnection:
        """Give a socket to send a request on."""
        headers = {"X-Api-Key": self._key}
        socket = await connect(self._url, additional_headers=headers, compression=None, proxy=None)
        await socket.recv()  # its greeting
        return socket

    async def give_back(self, socket: ClientConnection, *, good: bool) -> None:
        """Learn that the request is over, and whether its answer was taken for a whole one."""
        await socket.close()

    def message(self, text: str) -> str:
        """Encode a request."""
        voice = {"speaker": self._speaker, "dialect": self._dialect, "languageId": "ar"}
        return json.dumps({"type": "tts", "payload": {"text": text, **voice, "mulaw": False}})


class KeptSocketTransport(FreshSocketTransport):
    """Keeps its socket until an answer fails; it was one a session, so this is for one session."""

    name = "kept-socket"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._kept: ClientConnection | None = None

    async def take(self) -> ClientConnection:
        """Give the socket that is there, if it is open."""
        if self._kept is None or self._kept.state is not State.OPEN:
            self._kept = await super().take()
        return self._kept

    async def give_back(self, socket: ClientConnection, *, good: bool) -> None:
        """Keep the socket after a good answer."""
        if not good:
            self._kept = None
            await socket.close()

    async def aclose(self) -> None:
        """Close the socket."""
        if self._kept is not None:
            await self._kept.close()


class SeedStream(AudioStream):
    """The audio of one sentence, and of the attempts at it that failed."""

    format = PCM16_16K

    def __init__(self, transport: FreshSocketTransport, request: SpeechRequest) -> None:
        self._transport = transport
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number in range(1 + RETRIES):
            received = 0
            async for chunk in self._once():
                received += len(chunk)
                yield chunk
            if received > LEAST_BYTES or number == RETRIES:
                return
            await asyncio.sleep(BACKOFF_S[number])

    async def _once(self) -> AsyncIterator[bytes]:
        with self._request.attempt(self._transport.name) as attempt:
            socket = await self._transport.take()
            attempt.mark_sent(None)
            received = 0
            try:
                await socket.send(self._transport.message(self._request.text))
                async for chunk in _answer(socket):
                    if not received:
                        attempt.mark_first_byte()
                    received += len(chunk)
                    yield chunk
            except ConnectionClosed:
                raise ConnectionLostError("the socket was closed") from None
            finally:
                await self._transport.give_back(socket, good=received > LEAST_BYTES)


async def _answer(socket: ClientConnection) -> AsyncIterator[bytes]:
    """Yield audio until 2 s have brought no more after the `end`."""
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


KINDS = {kind.name: kind for kind in (FreshSocketTransport, KeptSocketTransport)}


def serve(name: str) -> None:
    """Run a gateway that speaks by this transport alone, without judging what it brings."""

    def compose(options: SpeechOptions, context: TransportContext) -> TTSTransport:
        return KINDS[name](load())

    # Not as a plug-in: those get retries and hold-back around them, which is what is compared.
    vars(composition)["compose"] = compose
    server.serve()
