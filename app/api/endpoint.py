"""The WebSocket endpoint: one connection, one session."""

import asyncio
import re
import uuid
from collections.abc import Callable
from contextlib import closing

import structlog
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from app.api.client_messages import ClientMessages, InputLimits
from app.api.event_sender import EventSender
from app.api.input_audio import InputAudioBuffer
from app.api.session_config import SessionConfig
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.playout import SpeechStyle
from app.pipeline.session import Session

log = structlog.get_logger(__name__)

_SESSION_ID = re.compile(r"[A-Za-z0-9._~:@-]{1,128}")
"""Characters that are safe in any store: agents key their memory by the session id."""


class VoiceEndpoint:
    """Accepts clients, and runs a session for each."""

    def __init__(
        self, components: PipelineComponents, style: SpeechStyle, limits: InputLimits
    ) -> None:
        self._components = components
        self._style = style
        self._limits = limits
        self.sessions = 0
        """Clients that are connected."""

    async def serve(self, websocket: WebSocket, session_id: str | None = None) -> None:
        """Serve one client until it disconnects. An unsafe `session_id` is refused with a 400."""
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
                await self._run_session(
                    websocket, session_id, abort=lambda: session_scope.reschedule(0)
                )
        except events.ClientGoneError:
            log.debug("client disconnected", session=session_id)
        except TimeoutError:
            if not session_scope.expired():
                raise
            log.info("client stopped reading; connection aborted", session=session_id)
        finally:
            self.sessions -= 1

    async def _run_session(
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
