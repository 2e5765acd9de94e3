"""The endpoint: one WebSocket, one session."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from app import errors
from app.api import protocol
from app.api.configuration import Configuration
from app.api.encoding import encode, error_message
from app.api.microphone import Microphone
from app.api.protocol import Framing
from app.pipeline import events
from app.pipeline.said import Recording
from app.pipeline.session import Session
from app.pipeline.speech import SpeechStyle
from app.pipeline.turn import Stages
from app.watchdog import Watchdog

log = structlog.get_logger(__name__)

_SESSION_ID = re.compile(r"[A-Za-z0-9._~:@-]{1,128}")
"""Agents key their memory by it, so it is kept to what is safe in any store."""

SEND_TIMEOUT_S = 40.0
"""Longest wait for a client that takes nothing. In this time the server's pings give it up as well
(20 s between two, 20 s for the pong), but tell us only once all that was written has left."""


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The most that one message of a client, or one utterance in frames, may hold."""

    utterance_bytes: int
    """Of a recording, after base64."""
    text_chars: int
    """Of a typed turn."""


class VoiceEndpoint:
    """Accepts clients, and speaks the client protocol with each."""

    def __init__(self, stages: Stages, style: SpeechStyle, limits: InputLimits) -> None:
        self._stages = stages
        self._style = style
        self._limits = limits
        self.sessions = 0
        """Clients that are here."""

    async def serve(self, websocket: WebSocket, session_id: str | None = None) -> None:
        """Talk with one client until it leaves."""
        session_id = session_id or str(uuid.uuid4())
        if not _SESSION_ID.fullmatch(session_id):
            log.info("refused", code="invalid-session-id")
            refusal = {"type": "error", "code": "invalid-session-id"}
            await websocket.send_denial_response(JSONResponse(refusal, status_code=400))
            return
        await websocket.accept()
        self.sessions += 1
        try:
            async with asyncio.timeout(None) as stay:
                await self._converse(websocket, session_id, hang_up=lambda: stay.reschedule(0))
        except events.ClientGoneError:
            log.debug("client left", session=session_id)
        except TimeoutError:
            if not stay.expired():
                raise
            log.info("client takes nothing", session=session_id)
        finally:
            self.sessions -= 1

    async def _converse(
        self, websocket: WebSocket, session_id: str, *, hang_up: Callable[[], None]
    ) -> None:
        configuration = Configuration(self._style, transports=tuple(self._stages.transports))
        with closing(Outbox(websocket, configuration, hang_up)) as outbox:
            async with Session(session_id, self._stages, self._style, outbox.emit) as session:
                await outbox.send(configuration.session_message(session_id))
                await outbox.emit(events.Status("connected"))
                microphone = Microphone(
                    max_bytes=self._limits.utterance_bytes, max_s=self._stages.max_utterance_s
                )
                await Conversation(session, outbox, microphone, self._limits).run(websocket)


class Conversation:
    """Reads what one client sends, and answers what it gets wrong."""

    def __init__(
        self,
        session: Session,
        outbox: "Outbox",
        microphone: Microphone,
        limits: InputLimits,
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._microphone = microphone
        self._limits = limits

    async def run(self, websocket: WebSocket) -> None:
        """Take messages until the client leaves."""
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            frame = message.get("text")
            try:
                if frame is None:
                    await self._hear(message["bytes"])
                else:
                    await self._handle(protocol.decode(frame))
            except errors.BadInputError as error:
                reply = error_message(error, self._session.style.language)
                if (id := protocol.message_id(frame or "")) is not None:
                    reply["in_reply_to"] = id
                await self._outbox.send(reply)

    async def _hear(self, data: bytes) -> None:
        configuration = self._outbox.configuration
        if not configuration.streams:
            raise errors.UnexpectedBinaryError("configure the input first")
        if configuration.turn_detection == "server_vad":
            await self._session.hear(data)
        else:
            self._microphone.hear(data, configuration.input)

    async def _end_utterance(self) -> None:
        if self._outbox.configuration.turn_detection == "server_vad":
            if not await self._session.end_utterance():
                raise errors.EmptyAudioError("no speech has begun")
        elif (utterance := self._microphone.utterance()) is not None:
            await self._session.begin(Recording(utterance))

    async def _configure(self, message: protocol.ConfigureMessage) -> None:
        configuration = self._outbox.configuration.changed(message)
        listens_otherwise = configuration.listens_otherwise(self._outbox.configuration)
        if listens_otherwise:
            if configuration.turn_detection == "server_vad":
                await self._session.listen(configuration.input)
            else:
                self._session.stop_listening()
        if listens_otherwise or message.input is not None:
            self._microphone.forget()
        self._outbox.configure(configuration, after_turn=self._session.turns)
        self._session.style = configuration.style
        await self._outbox.send(configuration.configured_message())

    async def _handle(self, message: protocol.ClientMessage) -> None:
        match message:
            case protocol.AudioMessage():
                data = protocol.decode_audio(
                    message.audio_base64, max_bytes=self._limits.utterance_bytes
                )
                await self._session.begin(Recording(data))
            case protocol.AudioEndMessage():
                await self._end_utterance()
            case protocol.TextMessage():
                if not (text := message.text.strip()):
                    raise errors.EmptyTextError("there is nothing in it")
                if len(text) > self._limits.text_chars:
                    raise errors.TextTooLongError(f"more than {self._limits.text_chars} characters")
                await self._session.begin(text)
            case protocol.ConfigureMessage():
                await self._configure(message)
            case protocol.PlaybackMessage():
                self._session.report_playback(message.turn, message.played_ms)
            case protocol.InterruptMessage():
                await self._session.interrupt("client")
            case protocol.PingMessage():
                await self._outbox.send({"type": "pong", "id": message.id})


class Outbox:
    """Numbers what leaves, and keeps the order of numbers the order on the wire.

    Waits while the client reads slowly: nothing is queued here, so memory stays flat and the
    provider is slowed down instead. A client that takes nothing any more is gone: `hang_up` ends
    the session, which would else keep the provider's sockets from the others.
    """

    def __init__(
        self, websocket: WebSocket, configuration: Configuration, hang_up: Callable[[], None]
    ) -> None:
        self.configuration = configuration
        self._hang_up = hang_up
        self._watchdog = Watchdog()
        self._framing = configuration.framing
        """That of the turns up to `_framed_turn`; of those after it, the configuration's."""
        self._framed_turn = 0
        self._websocket = websocket
        self._seq = 0
        self._turnstile = asyncio.Lock()

    def configure(self, configuration: Configuration, *, after_turn: int) -> None:
        """Put this in force; audio of turns up to `after_turn` is framed as it was."""
        if after_turn > self._framed_turn:
            self._framing, self._framed_turn = self.configuration.framing, after_turn
        self.configuration = configuration

    def _framing_of(self, turn: int) -> Framing:
        return self._framing if turn <= self._framed_turn else self.configuration.framing

    async def emit(self, event: events.Event) -> None:
        """Send an event. Raises `ClientGoneError`."""
        if isinstance(event, events.AudioChunk) and self._framing_of(event.turn) == "binary":
            async with self._turnstile:
                await self._write(self._websocket.send_bytes(event.data))
        else:
            await self.send(encode(event, self.configuration.style.language))

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises `ClientGoneError`."""
        async with self._turnstile:
            message["seq"] = self._seq + 1
            await self._write(self._websocket.send_text(orjson.dumps(message).decode()))
            self._seq += 1

    def close(self) -> None:
        """Stop the clock."""
        self._watchdog.close()

    async def _write(self, sending: Awaitable[None]) -> None:
        try:
            await self._watchdog.bound(sending, SEND_TIMEOUT_S)
        except TimeoutError as error:
            self._hang_up()
            raise events.ClientGoneError from error
        except (WebSocketDisconnect, RuntimeError) as error:
            # starlette raises RuntimeError for a send after the close
            raise events.ClientGoneError from error
