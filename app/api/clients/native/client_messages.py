"""The messages of clients, as models that are validated on arrival. See `docs/protocol.md`."""

import re
from typing import Annotated, Any, Literal

import orjson
import pybase64
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app import errors
from app.audio import Encoding
from app.pipeline.session_config import TurnDetection
from app.types import Dialect, Language

MAX_MESSAGE_CHARS = 64 * 1024
"""Longest message without a recording; the longest typed turn has 4,000 characters."""

MAX_ID_CHARS = 64
"""Longest `id` of a message: a UUID has 36."""

_BLANKS = b" \t\r\n"

_OPENING = re.compile(r"[ \t\r\n]{0,64}:[ \t\r\n]{0,64}\"")

Framing = Literal["base64", "binary"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, Field(max_length=MAX_ID_CHARS)] | int | None = None
    """An `error` that refuses the message carries it as `in_reply_to`."""


def _make_type_optional(schema: dict[str, Any]) -> None:
    schema["required"].remove("type")  # the original protocol has none


class AudioMessage(_Message):
    """One whole utterance, encoded by the client."""

    model_config = ConfigDict(json_schema_extra=_make_type_optional)

    type: Literal["audio"]
    audio_base64: str
    """A file: WAV, WebM, Ogg, MP3 or M4A. The prefix of a `data:` URL is tolerated."""


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
    """In hertz; mu-law has 8000."""
    framing: Framing | None = None


class InputChoice(BaseModel):
    """The format of the input stream; fields left out stay as they are."""

    encoding: Encoding | None = None
    sample_rate: Annotated[int, Field(ge=8000, le=48000)] | None = None
    """In hertz."""


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


def decode(frame: str) -> ClientMessage:
    """Decode a text frame.

    Raises `InvalidJSONError`, `MessageTooLargeError`, `UnknownMessageError`, and for a wrong field,
    which is named, `InvalidMessageError` or (in `configure`) `UnsupportedConfigurationError`. The
    error has the `message_id` of the message, if that could be read.
    """
    audio_base64 = None
    if len(frame) > MAX_MESSAGE_CHARS:
        frame, audio_base64 = split_recording(frame)
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise errors.InvalidJSONError(str(error)) from None
    if not isinstance(message, dict):
        raise errors.InvalidMessageError("a message must be a JSON object")
    if audio_base64 is not None:
        if message.get("audio_base64") != "":
            raise _too_large()
        message["audio_base64"] = audio_base64
    try:
        return _validated(message)
    except errors.BadInputError as error:
        error.message_id = _short_id(message.get("id"))
        raise


def split_recording(frame: str) -> tuple[str, str]:
    """Take the base64 of a recording out of a large frame, and return the rest and the base64.

    Nothing is parsed: only a recording may be large, and its base64 holds no quotation mark. The
    rest has an empty string in its place. Raises `MessageTooLargeError` for any other large frame.
    """
    key = frame.find('"audio_base64"', 0, MAX_MESSAGE_CHARS)
    opening = _OPENING.match(frame, key + len('"audio_base64"')) if key >= 0 else None
    if opening is None:
        raise _too_large()
    start = opening.end()
    end = frame.find('"', start)
    if end < 0:
        raise errors.InvalidJSONError("the recording has no end")
    rest = frame[:start] + frame[end : end + MAX_MESSAGE_CHARS + 1]
    if len(rest) > MAX_MESSAGE_CHARS:
        raise _too_large()
    audio_base64 = frame[start:end]
    if "\\" in audio_base64:  # to look is a hundred times as fast as to replace nothing
        audio_base64 = audio_base64.replace("\\/", "/")  # some encoders escape the slash
    return rest, audio_base64


def _validated(message: dict[str, Any]) -> ClientMessage:
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


def _short_id(value: object) -> str | int | None:
    if isinstance(value, str):
        return value[:MAX_ID_CHARS]
    return value if isinstance(value, int) else None


def _too_large() -> errors.MessageTooLargeError:
    return errors.MessageTooLargeError(
        f"only a recording may have more than {MAX_MESSAGE_CHARS} characters"
    )


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

    A megabyte takes 0.1 ms, with line breaks 2 ms. Raises `InvalidBase64Error`, `EmptyAudioError`
    or `UtteranceTooLongError`.
    """
    if audio_base64.startswith("data:"):
        audio_base64 = audio_base64[audio_base64.find(",", 0, MAX_MESSAGE_CHARS) + 1 :]
    if len(audio_base64) * 3 // 4 > max_bytes + 3:
        raise errors.UtteranceTooLongError(f"more than {max_bytes} bytes")
    data = _decoded(audio_base64)
    if not data:
        raise errors.EmptyAudioError("no bytes")
    if len(data) > max_bytes:
        raise errors.UtteranceTooLongError(f"more than {max_bytes} bytes")
    return data


def _decoded(audio_base64: str) -> bytes:
    try:
        if any(chr(blank) in audio_base64 for blank in _BLANKS):
            octets = audio_base64.encode("ascii").translate(None, _BLANKS)
            return pybase64.b64decode(octets, validate=True)
        return pybase64.b64decode(audio_base64, validate=True)
    except ValueError as error:
        raise errors.InvalidBase64Error(str(error)) from None
