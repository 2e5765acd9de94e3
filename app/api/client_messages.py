"""The receiving half of a connection: client messages become commands of the session."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket

from app import errors
from app.api import messages
from app.api.event_sender import EventSender
from app.api.input_audio import InputAudioBuffer
from app.api.serializer import error_message
from app.pipeline.session import Session
from app.pipeline.user_input import EncodedUtterance
from app.timeouts import ReusableTimeout


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The largest input of a client."""

    utterance_bytes: int
    """Of one utterance, after base64 decoding."""
    text_chars: int
    """Of one typed text."""


class ClientMessages:
    """Reads the messages of one client. A message that is refused is answered by an `error`."""

    def __init__(
        self,
        session: Session,
        sender: EventSender,
        input_audio: InputAudioBuffer,
        limits: InputLimits,
        *,
        idle_timeout_s: float,
    ) -> None:
        self._session = session
        self._sender = sender
        self._input_audio = input_audio
        self._limits = limits
        self._idle_timeout_s = idle_timeout_s
        self._timeout = ReusableTimeout()

    async def run(self, websocket: WebSocket) -> None:
        """Handle messages until the client disconnects.

        Raises `ClientGoneError`, and `SessionExpiredError` when the client is idle for too long.
        """
        with closing(self._timeout):
            await self._run(websocket)

    async def _run(self, websocket: WebSocket) -> None:
        while (message := await self._receive(websocket))["type"] != "websocket.disconnect":
            handling = self._reply_to(message)
            del message  # or it would be kept until the next one comes
            if (reply := await handling) is not None:
                await self._sender.send(reply)

    async def _reply_to(self, message: Message) -> dict[str, Any] | None:
        """Handle a message; return what its sender is told when it is refused."""
        frame, id = message.get("text"), None
        try:
            if frame is None:
                await self._append_audio(message["bytes"])
            else:
                decoded = messages.decode(frame)
                id = decoded.id
                del message, frame  # a recording need not be kept twice
                await self._handle(decoded)
        except errors.BadInputError as error:
            reply = error_message(error, self._session.style.language)
            if (in_reply_to := id if id is not None else error.message_id) is not None:
                reply["in_reply_to"] = in_reply_to
            return reply
        return None

    async def _receive(self, websocket: WebSocket) -> Message:
        """Wait for a message; while a response is made or played, the session is not idle."""
        while True:
            try:
                return await self._timeout.wait_for(websocket.receive(), self._idle_timeout_s)
            except TimeoutError:
                if not self._session.is_responding:
                    raise errors.SessionExpiredError("the client sent nothing") from None

    async def _handle(self, message: messages.ClientMessage) -> None:
        """Dispatch a text frame: one case for each message of the protocol."""
        match message:
            case messages.AudioMessage():
                data = await messages.decode_audio(
                    message.audio_base64, max_bytes=self._limits.utterance_bytes
                )
                await self._session.start_turn(EncodedUtterance(data))
            case messages.AudioEndMessage():
                await self._end_utterance()
            case messages.TextMessage():
                await self._start_typed_turn(message.text.strip())
            case messages.ConfigureMessage():
                await self._configure(message)
            case messages.PlaybackMessage():
                self._session.on_playback_report(message.turn, message.played_ms)
            case messages.InterruptMessage():
                await self._session.interrupt("client")
            case messages.PingMessage():
                await self._sender.send({"type": "pong", "id": message.id})

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
                raise errors.EmptyAudioError("no speech was detected")
        elif (utterance := self._input_audio.take_utterance()) is not None:
            await self._session.start_turn(EncodedUtterance(utterance))

    async def _start_typed_turn(self, text: str) -> None:
        if not text:
            raise errors.EmptyTextError("only white space")
        if len(text) > self._limits.text_chars:
            raise errors.TextTooLongError(f"more than {self._limits.text_chars} characters")
        await self._session.start_turn(text)

    async def _configure(self, message: messages.ConfigureMessage) -> None:
        """Put a new configuration in force, from the next turn on.

        Turn detection is switched first: it may fail, and then the old configuration stays. Audio
        of an input that changes, or is only named again, is dropped.
        """
        config = self._sender.config.changed(message)
        input_differs = config.input_differs(self._sender.config)
        if input_differs:
            if config.turn_detection == "server_vad":
                await self._session.start_turn_detection(config.input)
            else:
                self._session.stop_turn_detection()
        if input_differs or message.input is not None:
            self._input_audio.clear()
        self._sender.configure(config, after_turn=self._session.turn_count)
        self._session.style = config.style
        await self._sender.send(config.configured_message())
