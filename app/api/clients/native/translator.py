"""The translator of the native protocol: JSON in text frames, and audio in binary ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app import errors
from app.api.clients.base import Frame, Reply, Translator
from app.api.clients.native import client_messages as messages
from app.api.clients.native import serializer
from app.api.clients.native.client_messages import Framing
from app.api.clients.native.configuration import NativeConfig
from app.api.clients.native.server_messages import PongMessage, ServerMessage
from app.pipeline import commands, events
from app.pipeline.session_config import SessionConfig, SessionTerms
from app.types import Language


@dataclass(frozen=True, slots=True)
class Pong(Reply):
    """The answer to a `ping`, with the same id."""

    id: str | int | None


class NativeTranslator(Translator):
    """Numbers the messages to the client, and keeps what it has configured."""

    name = "native"

    def __init__(self, terms: SessionTerms) -> None:
        self._terms = terms
        self._config = self._requested = NativeConfig(terms.config)
        """What is in force, and what the last `configure` asked for."""
        self._message_id: str | int | None = None
        """The `id` of the message that was read last."""
        self._seq = 0
        self._old_framing: Framing = self._config.framing
        """The framing of turns up to `_old_framing_turn`; later turns have the one in force."""
        self._old_framing_turn = 0

    async def read(self, frame: Frame) -> Sequence[commands.Command | Reply]:
        """Return the commands of a frame. Raises a `BadInputError` for one that is refused."""
        self._message_id = None
        if isinstance(frame, bytes):
            if not self._config.streams:
                raise errors.UnexpectedBinaryError("configure the input first")
            return (commands.AppendAudio(frame),)
        try:
            message = messages.decode(frame)
        except errors.BadInputError as error:
            self._message_id = error.message_id
            raise
        del frame  # a recording need not be kept twice
        self._message_id = message.id
        return self._commands(message)

    def write(self, event: events.Event | Reply) -> Iterator[Frame]:
        """Yield the frame of an event. A number is used up once its message has been sent."""
        if isinstance(event, events.AudioChunk) and self._framing_of(event.turn) == "binary":
            yield event.data
        elif (frame := self._frame(event, self._seq + 1)) is not None:
            yield frame
            self._seq += 1

    def _commands(self, message: messages.ClientMessage) -> Sequence[commands.Command | Reply]:
        """Translate a message: one case for each type."""
        match message:
            case messages.AudioMessage():
                data = messages.decode_audio(
                    message.audio_base64, max_bytes=self._terms.limits.utterance_bytes
                )
                return (commands.SubmitRecording(data),)
            case messages.AudioEndMessage():
                return (commands.Commit(),)
            case messages.TextMessage():
                return (commands.AddText(message.text), commands.Respond())
            case messages.ConfigureMessage():
                return self._configure(message)
            case messages.PlaybackMessage():
                return (commands.ReportPlayback(message.turn, message.played_ms),)
            case messages.InterruptMessage():
                return (commands.Cancel(),)
            case messages.PingMessage():
                return (Pong(message.id),)

    def _configure(self, message: messages.ConfigureMessage) -> Sequence[commands.Command]:
        """Ask for a configuration. An `input` that is only named again drops its audio, too."""
        self._requested = self._config.changed(message)
        configure = commands.Configure(self._requested.session)
        if message.input is not None and self._requested.session.turn_detection == "none":
            return (configure, commands.Clear())
        return (configure,)

    def _frame(self, event: events.Event | Reply, seq: int) -> str | None:
        """Return the text frame of an event; None if it has none. Frequent ones first."""
        match event:
            case events.AudioChunk():
                return serializer.chunk_frame(event, seq)
            case events.Token():
                return serializer.token_frame(event, seq)
            case events.DataReceived():
                return serializer.data_frame(event, seq)
            case events.SessionOpened():
                message: ServerMessage = serializer.session_message(self._terms, self._config, seq)
            case events.Configured(config, after_turn):
                self._put_in_force(config, after_turn)
                message = serializer.configured_message(self._terms, self._config, seq)
            case events.Failed():
                message = serializer.error_message(
                    event, self._language, seq, in_reply_to=self._refused_id(event)
                )
            case Pong(id):
                message = PongMessage(id=id, seq=seq)
            case events.SentenceEnded() | Reply():
                return None
            case _:
                message = serializer.message_of(event, self._language, seq)
        return serializer.frame_of(message)

    def _put_in_force(self, config: SessionConfig, after_turn: int) -> None:
        """Put the requested configuration in force; turns that have begun keep their framing."""
        if after_turn > self._old_framing_turn:
            self._old_framing, self._old_framing_turn = self._config.framing, after_turn
        self._config = replace(self._requested, session=config)

    def _refused_id(self, failed: events.Failed) -> str | int | None:
        """Return the `id` of the message that an error refuses; None if it refuses none."""
        is_refusal = failed.turn is None and isinstance(failed.error, errors.BadInputError)
        return self._message_id if is_refusal else None

    def _framing_of(self, turn: int) -> Framing:
        return self._old_framing if turn <= self._old_framing_turn else self._config.framing

    @property
    def _language(self) -> Language:
        return self._config.session.style.language
