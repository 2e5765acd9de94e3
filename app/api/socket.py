"""The endpoint: one WebSocket, one session."""

import asyncio
import re
import uuid
from typing import Any

import orjson
import structlog
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from app import errors
from app.api import protocol
from app.api.configuration import configured, configured_message, session_message
from app.api.encoding import encode, error_message
from app.pipeline import events
from app.pipeline.session import Session
from app.pipeline.speech import SpeechStyle
from app.pipeline.turn import Recording, Stages
from app.transports.base import Language

log = structlog.get_logger(__name__)

_SESSION_ID = re.compile(r"[A-Za-z0-9._~:@-]{1,128}")
"""Agents key their memory by it, so it is kept to what is safe in any store."""


class VoiceEndpoint:
    """Accepts clients, and speaks the client protocol with each."""

    def __init__(self, stages: Stages, style: SpeechStyle, *, max_utterance_bytes: int) -> None:
        self._stages = stages
        self._style = style
        self._max_utterance_bytes = max_utterance_bytes

    async def serve(self, websocket: WebSocket, session_id: str | None = None) -> None:
        """Talk with one client until it leaves."""
        session_id = session_id or str(uuid.uuid4())
        if not _SESSION_ID.fullmatch(session_id):
            refusal = {"type": "error", "code": "invalid-session-id"}
            await websocket.send_denial_response(JSONResponse(refusal, status_code=400))
            return
        await websocket.accept()
        outbox = Outbox(websocket, self._style.language)
        try:
            async with Session(session_id, self._stages, self._style, outbox.emit) as session:
                await outbox.send(session_message(session_id, self._style))
                await outbox.emit(events.Status("connected"))
                await Conversation(session, outbox, self._max_utterance_bytes).run(websocket)
        except events.ClientGoneError:
            log.debug("client left", session=session_id)


class Conversation:
    """Reads what one client sends, and answers what it gets wrong."""

    def __init__(self, session: Session, outbox: "Outbox", max_utterance_bytes: int) -> None:
        self._session = session
        self._outbox = outbox
        self._max_utterance_bytes = max_utterance_bytes

    async def run(self, websocket: WebSocket) -> None:
        """Take messages until the client leaves."""
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            frame = message.get("text")
            try:
                if frame is None:
                    raise errors.UnexpectedBinaryError("no binary frame was configured")
                await self._handle(protocol.decode(frame))
            except errors.BadInputError as error:
                reply = error_message(error, self._session.style.language)
                if (id := protocol.message_id(frame or "")) is not None:
                    reply["in_reply_to"] = id
                await self._outbox.send(reply)

    async def _handle(self, message: protocol.ClientMessage) -> None:
        match message:
            case protocol.AudioMessage():
                data = protocol.decode_audio(
                    message.audio_base64, max_bytes=self._max_utterance_bytes
                )
                await self._session.begin(Recording(data))
            case protocol.TextMessage():
                if not (text := message.text.strip()):
                    raise errors.EmptyTextError("there is nothing in it")
                await self._session.begin(text)
            case protocol.ConfigureMessage():
                self._session.style = configured(message, self._session.style)
                self._outbox.language = self._session.style.language
                await self._outbox.send(configured_message(self._session.style))
            case protocol.InterruptMessage():
                await self._session.interrupt("client")
            case protocol.PingMessage():
                await self._outbox.send({"type": "pong", "id": message.id})


class Outbox:
    """Numbers what leaves, and keeps the order of numbers the order on the wire.

    Waits while the client reads slowly: nothing is queued here, so memory stays flat and the
    provider is slowed down instead.
    """

    def __init__(self, websocket: WebSocket, language: Language) -> None:
        self.language = language
        self._websocket = websocket
        self._seq = 0
        self._turnstile = asyncio.Lock()

    async def emit(self, event: events.Event) -> None:
        """Send an event. Raises `ClientGoneError`."""
        await self.send(encode(event, self.language))

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises `ClientGoneError`."""
        async with self._turnstile:
            message["seq"] = self._seq + 1
            try:
                await self._websocket.send_text(orjson.dumps(message).decode())
            except (WebSocketDisconnect, RuntimeError) as error:
                # starlette raises RuntimeError for a send after the close
                raise events.ClientGoneError from error
            self._seq += 1
