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
from app.api import messages as protocol
from app.api.input_audio import InputAudioBuffer
from app.api.messages import Framing
from app.api.serializer import error_message, serialize
from app.api.session_config import SessionConfig
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.playout import SpeechStyle
from app.pipeline.session import Session
from app.pipeline.user_input import EncodedUtterance
from app.timeouts import ReusableTimeout

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

    def __init__(
        self, components: PipelineComponents, style: SpeechStyle, limits: InputLimits
    ) -> None:
        self._components = components
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
            async with asyncio.timeout(None) as session_scope:
                await self._converse(
                    websocket, session_id, abort=lambda: session_scope.reschedule(0)
                )
        except events.ClientGoneError:
            log.debug("client left", session=session_id)
        except TimeoutError:
            if not session_scope.expired():
                raise
            log.info("client takes nothing", session=session_id)
        finally:
            self.sessions -= 1

    async def _converse(
        self, websocket: WebSocket, session_id: str, *, abort: Callable[[], None]
    ) -> None:
        config = SessionConfig(self._style, transports=tuple(self._components.transports))
        with closing(EventSender(websocket, config, abort)) as sender:
            async with Session(session_id, self._components, self._style, sender.emit) as session:
                await sender.send(config.session_message(session_id))
                await sender.emit(events.Status("connected"))
                input_audio = InputAudioBuffer(
                    max_bytes=self._limits.utterance_bytes, max_s=self._components.max_utterance_s
                )
                await ClientMessages(session, sender, input_audio, self._limits).run(websocket)


class ClientMessages:
    """Reads what one client sends, and answers what it gets wrong."""

    def __init__(
        self,
        session: Session,
        sender: "EventSender",
        input_audio: InputAudioBuffer,
        limits: InputLimits,
    ) -> None:
        self._session = session
        self._sender = sender
        self._input_audio = input_audio
        self._limits = limits

    async def run(self, websocket: WebSocket) -> None:
        """Take messages until the client leaves."""
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            frame = message.get("text")
            try:
                if frame is None:
                    await self._append_audio(message["bytes"])
                else:
                    await self._handle(protocol.decode(frame))
            except errors.BadInputError as error:
                reply = error_message(error, self._session.style.language)
                if (id := protocol.message_id(frame or "")) is not None:
                    reply["in_reply_to"] = id
                await self._sender.send(reply)

    async def _append_audio(self, data: bytes) -> None:
        config = self._sender.config
        if not config.streams:
            raise errors.UnexpectedBinaryError("configure the input first")
        if config.turn_detection == "server_vad":
            await self._session.append_audio(data)
        else:
            self._input_audio.append(data, config.input)

    async def _end_utterance(self) -> None:
        if self._sender.config.turn_detection == "server_vad":
            if not await self._session.commit():
                raise errors.EmptyAudioError("no speech has begun")
        elif (utterance := self._input_audio.utterance()) is not None:
            await self._session.begin(EncodedUtterance(utterance))

    async def _configure(self, message: protocol.ConfigureMessage) -> None:
        config = self._sender.config.changed(message)
        input_differs = config.input_differs(self._sender.config)
        if input_differs:
            if config.turn_detection == "server_vad":
                await self._session.start_turn_detection(config.input)
            else:
                self._session.stop_turn_detection()
        if input_differs or message.input is not None:
            self._input_audio.clear()
        self._sender.configure(config, after_turn=self._session.turns)
        self._session.style = config.style
        await self._sender.send(config.configured_message())

    async def _handle(self, message: protocol.ClientMessage) -> None:
        match message:
            case protocol.AudioMessage():
                data = protocol.decode_audio(
                    message.audio_base64, max_bytes=self._limits.utterance_bytes
                )
                await self._session.begin(EncodedUtterance(data))
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
                await self._sender.send({"type": "pong", "id": message.id})


class EventSender:
    """Numbers what leaves, and keeps the order of numbers the order on the wire.

    Waits while the client reads slowly: nothing is queued here, so memory stays flat and the
    provider is slowed down instead. A client that takes nothing any more is gone: `hang_up` ends
    the session, which would else keep the provider's sockets from the others.
    """

    def __init__(
        self, websocket: WebSocket, config: SessionConfig, abort: Callable[[], None]
    ) -> None:
        self.config = config
        self._abort = abort
        self._watchdog = ReusableTimeout()
        self._framing = config.framing
        """That of the turns up to `_framed_turn`; of those after it, the configuration's."""
        self._framed_turn = 0
        self._websocket = websocket
        self._seq = 0
        self._send_lock = asyncio.Lock()

    def configure(self, config: SessionConfig, *, after_turn: int) -> None:
        """Put this in force; audio of turns up to `after_turn` is framed as it was."""
        if after_turn > self._framed_turn:
            self._framing, self._framed_turn = self.config.framing, after_turn
        self.config = config

    def _framing_of(self, turn: int) -> Framing:
        return self._framing if turn <= self._framed_turn else self.config.framing

    async def emit(self, event: events.Event) -> None:
        """Send an event. Raises `ClientGoneError`."""
        if isinstance(event, events.AudioChunk) and self._framing_of(event.turn) == "binary":
            async with self._send_lock:
                await self._write(self._websocket.send_bytes(event.data))
        else:
            await self.send(serialize(event, self.config.style.language))

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises `ClientGoneError`."""
        async with self._send_lock:
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
            self._abort()
            raise events.ClientGoneError from error
        except (WebSocketDisconnect, RuntimeError) as error:
            # starlette raises RuntimeError for a send after the close
            raise events.ClientGoneError from error
