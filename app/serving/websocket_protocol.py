"""The WebSocket of uvicorn, with deadlines and bounds that it lacks.

uvicorn parses all that arrives at once, keeps what is not complete for ever, answers every ping,
and waits at a close for a reader that may not read. Here

- frames are parsed in slices, and all connections together have a part of the event loop's time;
- a message has a number of frames, and a time to be complete;
- messages beyond a rate wait, which slows the sender down; pings beyond one end the connection;
- the handshake has a deadline, and a close ends in an abort.
"""

import asyncio
from typing import Any, ClassVar, Literal

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

from app.serving.admission import Admission, RateLimit

SLICE_BYTES = 4096
"""Bytes that are parsed in one step: 680 frames of the smallest kind, some 5 ms."""

INVALID_DATA: Literal[1007] = 1007
POLICY_VIOLATION: Literal[1008] = 1008
TRY_AGAIN_LATER: Literal[1013] = 1013


class BoundedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection, from its handshake on."""

    admission: ClassVar[Admission]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        limits = self.admission.limits
        now = self.loop.time()
        self.buffered_bytes = 0
        self._unparsed = bytearray()
        self._waits_for_turn = False
        self._message_frames = 0
        self._queued_bytes = 0
        """Size of a complete message that the session has not taken."""
        self._deadline: asyncio.TimerHandle | None = self.loop.call_later(
            limits.handshake_timeout_s, self._expire, "handshake-timeout"
        )
        self._message_deadline: asyncio.TimerHandle | None = None
        self._messages = RateLimit(limits.messages_per_s, now)
        self._pings = RateLimit(limits.pings_per_s, now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._cancel_timers()
        self._drop_input()
        self.admission.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, unless earlier messages wait to be taken."""
        if self.transport.is_closing():
            return
        self._unparsed += data
        self._parse()

    async def receive(self) -> ASGIReceiveEvent:
        """Wait for the next message, and longer when messages come too fast."""
        message = await self.queue.get()
        if message["type"] == "websocket.receive":
            wait_s = self._messages.wait_s(self.loop.time())
            if wait_s:
                await asyncio.sleep(wait_s)
            self._queued_bytes = 0
            self._note_progress()
        if self.queue.empty():
            self._parse()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        """Send; an accepted handshake makes the connection a session."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            self.admission.establish(self)
        elif message["type"] == "websocket.close":
            self._parse()  # the client's own close may wait behind what nobody takes any more

    def handle_text(self, event: Frame) -> None:
        """Begin a text message."""
        self._message_frames = 1
        super().handle_text(event)
        event.data = b""  # the parser keeps its last frame, until the next one comes

    def handle_bytes(self, event: Frame) -> None:
        """Begin a binary message."""
        self._message_frames = 1
        super().handle_bytes(event)
        event.data = b""

    def handle_cont(self, event: Frame) -> None:
        """Go on with a message, which may not have too many frames."""
        self._message_frames += 1
        if self._message_frames > self.admission.limits.max_frames_per_message:
            self.fail(POLICY_VIOLATION, "too-many-frames")
            return
        super().handle_cont(event)
        event.data = b""

    def send_receive_event_to_app(self) -> None:
        """Hand a complete message on; the next one has a time of its own."""
        self._end_message()
        data, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        self._queued_bytes = len(data)
        if self.curr_msg_data_type == "bytes":
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        else:
            try:
                self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
            except UnicodeDecodeError:
                self.fail(INVALID_DATA, "invalid-utf-8")
                return
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_ping(self) -> None:
        """Answer a ping, or end a connection that sends too many."""
        if self._pings.wait_s(self.loop.time()):
            self.fail(POLICY_VIOLATION, "too-many-pings")
        else:
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong; unsolicited ones count as pings."""
        if self._pings.wait_s(self.loop.time()):
            self.fail(POLICY_VIOLATION, "too-many-pings")
        else:
            super().handle_pong(event)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Abort the connection when the client does not read what is left."""
        super().on_task_complete(task)
        self._abort_later()

    def shutdown(self) -> None:
        """Close, and abort if the client does not read what is left.

        A close that the client began is not begun again: uvicorn would raise, and end the process.
        """
        if self.handshake_complete and self.conn.state is not State.OPEN:
            self.close_sent = True
        super().shutdown()
        self._abort_later()

    def fail(self, code: int, reason: str) -> None:
        """Close the connection for a reason that the client is told."""
        if self.close_sent or self.transport.is_closing():
            return
        self.admission.refuse(reason, self.loop.time())
        self._drop_queued()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._drop_input()
        self.transport.close()
        self._abort_later()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def overflow(self) -> None:
        """Close because too much is buffered."""
        self.fail(TRY_AGAIN_LATER, "too-much-buffered")

    def _parse(self) -> None:
        """Parse until a message waits to be taken, if there is time left for it now."""
        if self._unparsed and not self._waits_for_turn:
            if self.admission.turns.left_s > 0:
                self._take_turn()
                return
            self._wait_for_turn()
        self._adjust_reading()  # what arrives while it waits is no reason to take more
        self._note_progress()

    def _take_turn(self) -> None:
        self._waits_for_turn = False
        turns = self.admission.turns
        began_at = self.loop.time()
        while self._unparsed and self._may_parse:
            piece = bytes(self._unparsed[:SLICE_BYTES])
            del self._unparsed[:SLICE_BYTES]
            super().data_received(piece)
            if self._unparsed and self.loop.time() - began_at > turns.left_s:
                self._wait_for_turn()
                break
        turns.spend(self.loop.time() - began_at)
        self._adjust_reading()
        self._note_progress()

    def _wait_for_turn(self) -> None:
        self._waits_for_turn = True
        self.admission.turns.wait(self._take_turn)

    def _adjust_reading(self) -> None:
        """Read on when all is parsed and taken, and not before."""
        if self.transport.is_closing():
            return
        if self._unparsed and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()
        elif self.read_paused and not self._unparsed and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()

    @property
    def _may_parse(self) -> bool:
        """Whether the next message can be taken; after a close they are dropped unread."""
        return (self.queue.empty() or self.close_sent) and not self.transport.is_closing()

    def _note_progress(self) -> None:
        """Count what messages hold, and give an incomplete one a time to be complete."""
        incomplete_bytes = (
            len(self._unparsed) + len(self.conn.reader.buffer) + sum(map(len, self.frames))
        )
        self.buffered_bytes = incomplete_bytes + self._queued_bytes
        self.admission.buffer(self, self.buffered_bytes)
        if not incomplete_bytes:
            self._end_message()
        elif self._message_deadline is None and not self._unparsed:
            self._message_deadline = self.loop.call_later(
                self.admission.limits.message_timeout_s, self._expire_message
            )

    def _drop_input(self) -> None:
        """Free what nobody will read: a closed connection is part of cycles, and stays a while."""
        self._unparsed = bytearray()
        self.conn.reader.buffer = bytearray()
        self.frames = []

    def _drop_queued(self) -> None:
        """Free a message that has not been taken."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self._queued_bytes = 0

    def _end_message(self) -> None:
        if self._message_deadline is not None:
            self._message_deadline.cancel()
            self._message_deadline = None

    def _expire_message(self) -> None:
        self._message_deadline = None
        self.fail(POLICY_VIOLATION, "message-timeout")

    def _expire(self, reason: str) -> None:
        self._deadline = None
        self.admission.refuse(reason, self.loop.time())
        self.abort()

    def _abort_later(self) -> None:
        self.loop.call_later(self.admission.limits.close_timeout_s, self._abort_if_open)

    def _abort_if_open(self) -> None:
        if not self.disconnected:
            self.abort()

    def _cancel_timers(self) -> None:
        for timer in (self._deadline, self._message_deadline):
            if timer is not None:
                timer.cancel()
        self._deadline = self._message_deadline = None
