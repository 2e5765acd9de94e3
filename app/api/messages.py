"""The messages of clients, validated on arrival. See `docs/protocol.md`."""

import base64
import binascii
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app import errors
from app.audio import Encoding
from app.types import Dialect, Language

Framing = Literal["base64", "binary"]
TurnDetection = Literal["none", "server_vad"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str | int | None = None


class AudioMessage(_Message):
    """One whole utterance, encoded by the client."""

    type: Literal["audio"]
    audio_base64: str


class TextMessage(_Message):
    """A typed turn."""

    type: Literal["text"]
    text: str


class VoiceChoice(BaseModel):
    """The voice of responses; fields left out stay as they are."""

    speaker: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    dialect: Dialect | None = None


class OutputChoice(BaseModel):
    """How audio is sent; fields left out stay as they are."""

    encoding: Encoding | None = None
    sample_rate: Literal[8000, 16000, 24000] | None = None
    framing: Framing | None = None


class InputChoice(BaseModel):
    """The format of the input stream; fields left out stay as they are."""

    encoding: Encoding | None = None
    sample_rate: Annotated[int, Field(ge=8000, le=48000)] | None = None


class ConfigureMessage(_Message):
    """The configuration that the client asks for; fields left out stay as they are."""

    type: Literal["configure"]
    voice: VoiceChoice | None = None
    language: Language | None = None
    output: OutputChoice | None = None
    input: InputChoice | None = None
    turn_detection: TurnDetection | None = None
    transport: Annotated[str, Field(max_length=64)] | None = None


class AudioEndMessage(_Message):
    """End of the utterance that was streamed."""

    type: Literal["audio_end"]


class InterruptMessage(_Message):
    """Interrupt the current turn."""

    type: Literal["interrupt"]


class PlaybackMessage(_Message):
    """How much of a turn's audio the client has played."""

    type: Literal["playback"]
    turn: Annotated[int, Field(ge=1)]
    played_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PingMessage(_Message):
    """Answered by `pong` with the same id."""

    type: Literal["ping"]


ClientMessage = (
    AudioMessage
    | AudioEndMessage
    | TextMessage
    | ConfigureMessage
    | InterruptMessage
    | PlaybackMessage
    | PingMessage
)

_TYPES = frozenset(("audio", "audio_end", "text", "configure", "interrupt", "playback", "ping"))
_ADAPTER: TypeAdapter[ClientMessage] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)


def message_id(frame: str) -> str | int | None:
    """Return the `id` of a message that may be invalid otherwise; None if it has none."""
    try:
        value = orjson.loads(frame).get("id")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return value if isinstance(value, str | int) else None


def decode(frame: str) -> ClientMessage:
    """Decode a text frame.

    Raises `InvalidJSONError`, `UnknownMessageError`, and for a wrong field, which is named,
    `InvalidMessageError` or (in `configure`) `UnsupportedConfigurationError`.
    """
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise errors.InvalidJSONError(str(error)) from None
    if not isinstance(message, dict):
        raise errors.InvalidMessageError("a message must be a JSON object")
    if "type" not in message and "audio_base64" in message:
        message["type"] = "audio"  # the original protocol has no `type`
    kind = message.get("type")
    if not isinstance(kind, str):
        raise errors.InvalidMessageError("type: must be a string")
    if kind not in _TYPES:
        raise errors.UnknownMessageError(f"type: {kind[:64]!r}")
    try:
        return _ADAPTER.validate_python(message)
    except ValidationError as error:
        raise _field_error(kind, error) from None


def _field_error(kind: str, error: ValidationError) -> errors.BadInputError:
    first = error.errors(include_url=False, include_input=False)[0]
    _, *path = first["loc"]  # the first is the message type
    field = ".".join(str(part) for part in path)
    text = f"{field}: {first['msg']}"
    if kind == "configure":
        return errors.UnsupportedConfigurationError(text)
    return errors.InvalidMessageError(text)


def decode_audio(audio_base64: str, *, max_bytes: int) -> bytes:
    """Decode an utterance; the prefix of a `data:` URL and line breaks are tolerated.

    Raises `InvalidBase64Error`, `EmptyAudioError` or `UtteranceTooLongError`.
    """
    if audio_base64.startswith("data:"):
        audio_base64 = audio_base64.partition(",")[2]
    if len(audio_base64) * 3 // 4 > max_bytes + 3:
        raise errors.UtteranceTooLongError(f"more than {max_bytes} bytes")
    try:
        data = base64.b64decode("".join(audio_base64.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.InvalidBase64Error(str(error)) from None
    if not data:
        raise errors.EmptyAudioError("no bytes")
    if len(data) > max_bytes:
        raise errors.UtteranceTooLongError(f"more than {max_bytes} bytes")
    return data
