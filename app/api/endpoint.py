"""The WebSocket endpoint: one connection, one session."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.api.access import AccessControl, Grant
from app.api.client_messages import ClientMessages, InputLimits
from app.api.event_sender import EventSender
from app.api.input_audio import InputAudioBuffer
from app.api.serializer import error_message
from app.api.session_config import SessionConfig
from app.api.sessions import denial
from app.api.unsent import ClientBacklog, UnsentBytes
from app.api.usage import SessionQuota, Usage
from app.errors import AccessDeniedError, SessionExpiredError
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.playout import SpeechStyle
from app.pipeline.session import Session
from app.telemetry.log_limiter import LogLimiter
from app.types import Voice

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts, in seconds; the settings of the same names explain both."""

    idle_timeout_s: float = 900.0
    max_s: float = 14_400.0


class VoiceEndpoint:
    """Accepts clients that may come in, and runs a session for each."""

    def __init__(
        self,
        components: PipelineComponents,
        style: SpeechStyle,
        limits: InputLimits,
        *,
        access: AccessControl,
        usage: Usage,
        session_limits: SessionLimits | None = None,
        unsent: UnsentBytes | None = None,
    ) -> None:
        self._components = components
        self._style = style
        self._limits = limits
        self._access = access
        self._usage = usage
        self._session_limits = session_limits or SessionLimits()
        self._unsent = unsent or UnsentBytes()
        self._limited_log = LogLimiter()

    async def serve(self, websocket: WebSocket, session_id: str | None = None) -> None:
        """Serve one client until it disconnects. One that may not come in gets an HTTP status."""
        try:
            grant = await self._access.admit(websocket, session_id)
            async with self._usage.session(grant):
                await websocket.accept(grant.subprotocol)
                await self._serve(websocket, session_id or grant.session_id, grant)
        except AccessDeniedError as error:
            now = asyncio.get_running_loop().time()
            self._limited_log.info(
                now, "refused", kind=error.code, code=error.code, status=error.status
            )
            await websocket.send_denial_response(denial(error))

    async def _serve(self, websocket: WebSocket, session_id: str | None, grant: Grant) -> None:
        session_id = session_id or str(uuid.uuid4())
        try:
            async with asyncio.timeout(None) as session_scope:
                await self._run_session(
                    websocket, session_id, grant, abort=lambda: session_scope.reschedule(0)
                )
        except events.ClientGoneError:
            log.debug("client disconnected", session=session_id)
        except TimeoutError:
            if not session_scope.expired():
                raise
            log.info("client stopped reading; connection aborted", session=session_id)

    async def _run_session(
        self, websocket: WebSocket, session_id: str, grant: Grant, *, abort: Callable[[], None]
    ) -> None:
        config = self._config_of(grant)
        backlog = ClientBacklog(self._unsent, abort)
        quota = SessionQuota(self._usage, grant, backlog)
        with closing(EventSender(websocket, config, abort, backlog)) as sender:
            async with Session(
                session_id, self._components, config.style, sender.emit, quota
            ) as session:
                await sender.send(config.session_message(session_id))
                await sender.emit(events.Status("connected"))
                try:
                    async with asyncio.timeout(self._max_s(grant)) as longest:
                        await self._messages(session, sender).run(websocket)
                except TimeoutError:
                    if not longest.expired():
                        raise
                    await self._end(websocket, sender, SessionExpiredError("longest time reached"))
                except SessionExpiredError as error:
                    await self._end(websocket, sender, error)

    def _messages(self, session: Session, sender: EventSender) -> ClientMessages:
        input_audio = InputAudioBuffer(
            max_bytes=self._limits.utterance_bytes, max_s=self._components.max_utterance_s
        )
        idle_timeout_s = self._session_limits.idle_timeout_s
        return ClientMessages(
            session, sender, input_audio, self._limits, idle_timeout_s=idle_timeout_s
        )

    async def _end(
        self, websocket: WebSocket, sender: EventSender, error: SessionExpiredError
    ) -> None:
        """Tell the client why its session ends, and close."""
        language = sender.config.style.language
        await sender.send(error_message(error, language, recoverable=False))
        try:
            await websocket.close(1000, error.code)
        except (WebSocketDisconnect, RuntimeError) as gone:
            raise events.ClientGoneError from gone

    def _config_of(self, grant: Grant) -> SessionConfig:
        """Return the first configuration: that of the gateway, within the limits of a token."""
        style, transports = self._style, tuple(self._components.transports)
        if grant.speaker is not None:
            style = replace(style, voice=Voice(grant.speaker, style.voice.dialect))
        if grant.transport in transports:
            style, transports = replace(style, transport=grant.transport), (grant.transport,)
        return SessionConfig(style, transports=transports, fixed_speaker=grant.speaker)

    def _max_s(self, grant: Grant) -> float:
        return min(self._session_limits.max_s, grant.max_s or self._session_limits.max_s)
