"""A client's connection: who may come in, how much, for how long, and what is sent in what order.

It knows no client protocol: a translator makes commands of frames, and frames of events.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.api.access import AccessControl, Grant
from app.api.clients.base import CreateTranslator, Frame, Reply, Translator
from app.api.drain import RESTARTING, Drain, SessionDrain, retry_after_ms
from app.api.session_log import STOPPED_READING, SessionLog, SessionRecord
from app.api.sessions import denial
from app.api.unsent import ClientBacklog, UnsentBytes
from app.api.usage import SessionLimits, SessionQuota, Usage
from app.errors import AccessDeniedError, BadInputError, SessionExpiredError
from app.pipeline import events
from app.pipeline.command_handler import CommandHandler
from app.pipeline.components import PipelineComponents
from app.pipeline.quota import Quota
from app.pipeline.session import Session
from app.pipeline.session_config import InputLimits, SessionConfig, SessionTerms, SpeechStyle
from app.pipeline.turn_outcome import SHUTDOWN
from app.telemetry.log_limiter import LogLimiter
from app.timeouts import ReusableTimeout
from app.types import Voice

SEND_TIMEOUT_S = 40.0
"""Longest wait for a client that has stopped reading. The pings of the server find it in the same
time (20 s between two, 20 s for the pong), but report it only when all that was written has been
sent."""

NORMAL_CLOSURE = 1000
SERVICE_RESTART = 1012
"""The close codes of a session that ends as agreed, and of a service that restarts."""


class ClientConnection:
    """One accepted client: reads its frames one by one, and sends it frames in order.

    Waits while the client reads slowly. Nothing is queued here: memory stays bounded, and the
    provider is slowed down. For a client that has stopped reading, `abort` is called, which must
    end the session: otherwise it would keep provider sockets from other sessions.
    """

    def __init__(
        self,
        websocket: WebSocket,
        translator: Translator,
        abort: Callable[[], None],
        backlog: ClientBacklog,
        record: SessionRecord,
    ) -> None:
        self._websocket = websocket
        self._translator = translator
        self._record = record
        self._abort = abort
        self._backlog = backlog
        self._send_lock = asyncio.Lock()
        self._send_timeout = ReusableTimeout()
        self._frame_bytes = 0
        """Size of the frame that is being sent."""
        self._receive_timeout = ReusableTimeout()

    async def run(self, handler: CommandHandler, *, idle_timeout_s: float) -> None:
        """Carry out what the client asks for, until it disconnects.

        Raises `ClientGoneError`, and `SessionExpiredError` when the client is idle for too long.
        """
        while (frame := await self._receive(handler, idle_timeout_s)) is not None:
            handling = self._handle(frame, handler)
            del frame  # or it would be kept until the next one comes
            await handling

    async def send(self, event: events.Event | Reply) -> None:
        """Send the frames of an event. Raises `ClientGoneError`."""
        await self._send_lock.acquire()
        try:
            for frame in self._translator.write(event):
                await self._write(frame)
        finally:
            self._send_lock.release()

    async def end(self, last: events.Failed | events.Status, code: int, reason: str) -> None:
        """Tell the client why its session ends, and hang up. Raises `ClientGoneError`."""
        await self.send(last)
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError) as gone:
            raise events.ClientGoneError from gone

    def close(self) -> None:
        """Cancel the timers."""
        self._send_timeout.close()
        self._receive_timeout.close()

    async def _receive(self, handler: CommandHandler, idle_timeout_s: float) -> Frame | None:
        """Wait for a frame; return None when the client has disconnected.

        While a response is made or played, the session is not idle.
        """
        while True:
            try:
                receiving = self._websocket.receive()
                message = await self._receive_timeout.wait_for(receiving, idle_timeout_s)
            except TimeoutError:
                if not handler.is_responding:
                    raise SessionExpiredError("the client sent nothing") from None
            else:
                if message["type"] != "websocket.disconnect":
                    return self._counted(_frame_of(message))
                if message.get("code") == SERVICE_RESTART:  # this server's own: it stops at once
                    raise events.DrainedError
                return None

    def _counted(self, frame: Frame) -> Frame:
        self._record.bytes_in += len(frame)
        return frame

    async def _handle(self, frame: Frame, handler: CommandHandler) -> None:
        """Carry out the commands of a frame; tell its sender when it is refused."""
        reading = self._translator.read(frame)
        del frame  # a recording need not be kept twice
        try:
            for item in await reading:
                if isinstance(item, Reply):
                    await self.send(item)
                else:
                    await handler.handle(item)
        except BadInputError as error:
            handler.on_refused(error)
            await self.send(events.Failed(error))

    async def _write(self, frame: Frame) -> None:
        self._frame_bytes = size = len(frame)
        kind = "text" if isinstance(frame, str) else "bytes"
        sending = self._websocket.send({"type": "websocket.send", kind: frame})
        try:
            await self._send_timeout.wait_for(sending, SEND_TIMEOUT_S, on_wait=self._on_wait)
        except TimeoutError as error:
            self._abort()
            raise events.ClientGoneError from error
        except (WebSocketDisconnect, RuntimeError) as error:
            # starlette raises RuntimeError for a send after the close
            raise events.ClientGoneError from error
        finally:
            if self._backlog.is_waiting:
                self._backlog.end_send()
        self._record.bytes_out += size

    def _on_wait(self) -> None:
        self._backlog.begin_send(self._frame_bytes)


class VoiceEndpoint:
    """Accepts clients of one protocol that may come in, and runs a session for each."""

    def __init__(
        self,
        components: PipelineComponents,
        style: SpeechStyle,
        limits: InputLimits,
        create_translator: CreateTranslator,
        *,
        access: AccessControl,
        usage: Usage,
        drain: Drain | None = None,
        session_limits: SessionLimits | None = None,
        unsent: UnsentBytes | None = None,
        session_log: SessionLog | None = None,
    ) -> None:
        self._components = components
        self._style = style
        self._limits = limits
        self._create_translator = create_translator
        self._access = access
        self._usage = usage
        self._drain = drain or Drain(0.0)
        self._session_limits = session_limits or SessionLimits()
        self._unsent = unsent or UnsentBytes()
        self._session_log = session_log or SessionLog()
        self._limited_log = LogLimiter()

    async def serve(self, websocket: WebSocket, session_id: str | None = None) -> None:
        """Serve one client until it disconnects. One that may not come in gets an HTTP status."""
        try:
            grant = await self._access.admit(websocket, session_id)
            self._drain.check()
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
        terms = self._terms(session_id or str(uuid.uuid4()), grant)
        translator = self._create_translator(terms)
        counted = self._components.metrics.session(translator.name)
        recording = self._session_log.recording(
            terms.session_id, websocket, grant, protocol=translator.name
        )
        with counted, recording as record:
            try:
                async with asyncio.timeout(None) as session_scope:
                    abort = lambda: session_scope.reschedule(0)  # noqa: E731
                    backlog = ClientBacklog(self._unsent, abort)
                    quota = SessionQuota(self._usage, grant, backlog)
                    connecting = ClientConnection(websocket, translator, abort, backlog, record)
                    with closing(connecting) as connection:
                        max_s = self._max_s(grant)
                        await self._run_session(connection, terms, quota, record, max_s=max_s)
            except events.ClientGoneError:
                return  # its line says the rest
            except TimeoutError:
                if not session_scope.expired():
                    raise
                record.ended_by = STOPPED_READING

    async def _run_session(
        self,
        connection: ClientConnection,
        terms: SessionTerms,
        quota: Quota,
        record: SessionRecord,
        *,
        max_s: float,
    ) -> None:
        """Run a session until the client leaves, its time is up, or the drain ends it."""
        components, style = self._components, terms.config.style
        with self._drain.session() as drain:
            try:
                async with Session(
                    *(terms.session_id, components, style, connection.send, quota),
                    origin=record.origin,
                ) as session:
                    record.session = session
                    handler = CommandHandler(
                        session, terms, connection.send, max_utterance_s=components.max_utterance_s
                    )
                    await connection.send(events.SessionOpened())
                    await connection.send(events.Status("connected"))
                    async with _ending(session, drain, max_s=max_s):
                        idle_timeout_s = self._session_limits.idle_timeout_s
                        await connection.run(handler, idle_timeout_s=idle_timeout_s)
            except SessionExpiredError as error:
                components.metrics.on_error(error)
                record.ended_by = error.code
                failed = events.Failed(error, recoverable=False)
                await connection.end(failed, NORMAL_CLOSURE, error.code)
            except events.DrainedError:
                record.ended_by = SHUTDOWN
                restarting = events.Status(RESTARTING, retry_after_ms=retry_after_ms())
                await connection.end(restarting, SERVICE_RESTART, RESTARTING)

    def _terms(self, session_id: str, grant: Grant) -> SessionTerms:
        """Return the terms of a session: those of the gateway, within the limits of a token."""
        style, transports = self._style, tuple(self._components.transports)
        if grant.speaker is not None:
            style = replace(style, voice=Voice(grant.speaker, style.voice.dialect))
        if grant.transport in transports:
            style, transports = replace(style, transport=grant.transport), (grant.transport,)
        return SessionTerms(
            session_id, SessionConfig(style), self._limits, transports, grant.speaker
        )

    def _max_s(self, grant: Grant) -> float:
        return min(self._session_limits.max_s, grant.max_s or self._session_limits.max_s)


@asynccontextmanager
async def _ending(session: Session, drain: SessionDrain, *, max_s: float) -> AsyncIterator[None]:
    """End the body by `SessionExpiredError` when its time is up, by `DrainedError` in a drain."""
    try:
        async with asyncio.timeout(max_s) as longest:
            with drain.watching(session.wait_idle, end=lambda: _expire(longest)):
                yield
    except TimeoutError:
        if not longest.expired():
            raise
        if drain.has_ended:
            raise events.DrainedError from None
        raise SessionExpiredError("longest time reached") from None


def _expire(timeout: asyncio.Timeout) -> None:
    """Let a timeout expire now, unless it has."""
    if not timeout.expired():
        timeout.reschedule(0)


def _frame_of(message: Message) -> Frame:
    frame: Frame | None = message.get("text")
    return message["bytes"] if frame is None else frame
