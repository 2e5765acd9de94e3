"""The messages to clients, as models. See `docs/protocol.md`; `docs/asyncapi.json` is made of them.

A field that is absent is left out on the wire; one that may be null is always there.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.api.clients.native.client_messages import Framing
from app.audio import Encoding
from app.pipeline.events import StatusCode
from app.pipeline.session_config import TurnDetection
from app.pipeline.turn_taking import InterruptReason
from app.types import Dialect, Language
from app.vad.base import EndReason


def _drop_default(schema: dict[str, Any]) -> None:
    del schema["default"]


def _require_type(schema: dict[str, Any]) -> None:
    """Describe `type` as what it is on the wire; its default saves writing it twice here."""
    schema["required"].insert(0, "type")
    del schema["properties"]["type"]["default"]


OPTIONAL = Field(json_schema_extra=_drop_default)


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Message(_Fields):
    model_config = ConfigDict(json_schema_extra=_require_type)

    seq: int
    """Counts the messages of a session, from 1."""


class _TurnMessage(_Message):
    turn: int
    """The number of the turn, from 1."""


class InputFormat(_Fields):
    """The format of the input stream."""

    encoding: Encoding
    sample_rate: int
    """In hertz."""


class OutputFormat(InputFormat):
    """How audio is sent."""

    framing: Framing


class VoiceInForce(_Fields):
    """The voice of responses."""

    speaker: str
    dialect: Dialect


class SessionMessage(_Message):
    """The first message."""

    type: Literal["session"] = "session"
    session_id: str
    protocol: int
    """The version of this protocol."""
    version: str
    """The version of the gateway."""
    output: OutputFormat
    input: InputFormat
    transport: str
    """How sentences are spoken."""
    transports: tuple[str, ...]
    """What may be chosen instead."""


class ConfiguredMessage(_Message):
    """What is in force; the reply to `configure`."""

    type: Literal["configured"] = "configured"
    output: OutputFormat
    input: InputFormat
    transport: str
    transports: tuple[str, ...]
    turn_detection: TurnDetection
    voice: VoiceInForce
    language: Language


class StatusMessage(_Message):
    """The gateway has entered a stage, or is being restarted."""

    type: Literal["status"] = "status"
    message: str
    """For people, in the session's language."""
    code: StatusCode
    retry_after_ms: Annotated[int | SkipJsonSchema[None], OPTIONAL] = None
    """After how many milliseconds to connect again; only with `server-restarting`, the last one."""
    turn: Annotated[int | SkipJsonSchema[None], OPTIONAL] = None
    """Absent outside a turn."""


class SpeechStartedMessage(_Message):
    """The user speaks."""

    type: Literal["speech_started"] = "speech_started"
    audio_start_ms: int
    """Where the speech began in the input stream."""


class SpeechStoppedMessage(_Message):
    """The user's utterance is over."""

    type: Literal["speech_stopped"] = "speech_stopped"
    audio_end_ms: int
    """Where the speech ended in the input stream."""
    reason: EndReason


class TranscriptionMessage(_TurnMessage):
    """What the user said."""

    type: Literal["transcription"] = "transcription"
    text: str


class TokenMessage(_TurnMessage):
    """The next piece of the response."""

    type: Literal["token"] = "token"
    content: str


class AgentResponseMessage(_TurnMessage):
    """The whole response."""

    type: Literal["agent_response"] = "agent_response"
    text: str


class DataMessage(_TurnMessage):
    """Data of the agent for the client, which is not spoken."""

    type: Literal["data"] = "data"
    data: Any
    """Any JSON."""
    source: Annotated[str | SkipJsonSchema[None], OPTIONAL] = None
    """The node of the workflow that sent it; absent where none is known."""


class TTSStartMessage(_TurnMessage):
    """The first audio of the turn follows, in this format."""

    type: Literal["tts_start"] = "tts_start"
    sample_rate: int
    """In hertz."""
    encoding: Encoding
    channels: int


class SentenceMessage(_TurnMessage):
    """The audio that follows speaks this sentence."""

    type: Literal["sentence"] = "sentence"
    index: int
    text: str


class TTSChunkMessage(_TurnMessage):
    """Audio without a header; with `framing: binary` a binary frame instead."""

    type: Literal["tts_chunk"] = "tts_chunk"
    audio_base64: str


class AttemptReport(_Fields):
    """One attempt to have a sentence spoken. Times are in milliseconds."""

    transport: str
    connection: str | None
    """`new` or `reused`."""
    fault: str | None
    """The code of the error that ended it."""
    heard: bool
    """Whether its audio was sent."""
    started_ms: int
    ttfb_ms: int | None
    total_ms: int | None


class SentenceReport(_Fields):
    """How a sentence was spoken."""

    index: int
    chars: int
    transport: str | None
    attempts: int
    connection: str | None
    ttfb_ms: int | None
    """From the request to its first audio byte."""
    audio_ms: int
    """The duration of the audio that was sent."""
    faults: list[str]
    """The codes of the attempts that failed."""
    attempt_log: list[AttemptReport]


class TurnReport(_Fields):
    """Milliseconds since the end of the user's utterance; null for what did not happen."""

    endpointing_ms: int | None
    stt_ms: int | None
    agent_first_token_ms: int | None
    first_sentence_ms: int | None
    first_audio_ms: int | None
    agent_done_ms: int | None
    total_ms: int | None
    sentences: list[SentenceReport]


class InterruptedMessage(_TurnMessage):
    """The turn is over before its end: nothing of it follows."""

    type: Literal["interrupted"] = "interrupted"
    reason: InterruptReason
    heard_text: str
    """What was heard, by the client's last `playback`, else by the clock."""
    played_ms: int
    metrics: TurnReport


class UnspokenNode(_Fields):
    """A node of the workflow whose text was not spoken."""

    node: str
    chars: int


class DoneMessage(_TurnMessage):
    """The turn is over."""

    type: Literal["done"] = "done"
    metrics: TurnReport
    unspoken: Annotated[list[UnspokenNode] | SkipJsonSchema[None], OPTIONAL] = None
    """The nodes of the workflow whose text was not spoken; absent where there are none."""


class ErrorMessage(_Message):
    """Something failed, or a message was refused."""

    type: Literal["error"] = "error"
    message: str
    """For people, in the session's language."""
    code: str
    recoverable: bool
    """Whether the session goes on."""
    in_reply_to: Annotated[int | str | SkipJsonSchema[None], OPTIONAL] = None
    """The `id` of the message that was refused, if it had one."""
    turn: Annotated[int | SkipJsonSchema[None], OPTIONAL] = None
    """Absent outside a turn."""


class PongMessage(_Message):
    """The reply to `ping`."""

    type: Literal["pong"] = "pong"
    id: int | str | None
    """That of the `ping`."""


ServerMessage = (
    SessionMessage
    | ConfiguredMessage
    | StatusMessage
    | SpeechStartedMessage
    | SpeechStoppedMessage
    | TranscriptionMessage
    | TokenMessage
    | AgentResponseMessage
    | DataMessage
    | TTSStartMessage
    | SentenceMessage
    | TTSChunkMessage
    | InterruptedMessage
    | DoneMessage
    | ErrorMessage
    | PongMessage
)
