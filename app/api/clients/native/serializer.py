"""Makes messages of events, and frames of messages. See `docs/protocol.md`."""

import orjson
import pybase64

from app import __version__
from app.api.clients.native import server_messages as messages
from app.api.clients.native.configuration import NativeConfig
from app.api.localization import error_text, status_text
from app.audio import AudioFormat
from app.pipeline import events
from app.pipeline.session_config import SessionTerms
from app.pipeline.timeline import SentenceMetrics, TurnMetrics
from app.transports.base import Attempt
from app.types import Language

PROTOCOL_VERSION = 1

RareEvent = (
    events.Status
    | events.UserSpeechStarted
    | events.UserSpeechStopped
    | events.Transcribed
    | events.AgentResponded
    | events.PlayoutStarted
    | events.SentenceStarted
    | events.Interrupted
    | events.TurnDone
)

_LAST_FIELDS = ("unspoken", "retry_after_ms", "turn", "in_reply_to", "seq")
"""Fields that end a message; they are left out where they are None."""


def chunk_frame(chunk: events.AudioChunk, seq: int) -> str:
    """Return the frame of a chunk in base64, which holds nothing that JSON escapes.

    Validating the model and dumping it would add half to the cost of the most frequent message.
    """
    audio_base64 = pybase64.b64encode_as_string(chunk.data)
    return f'{{"type":"tts_chunk","audio_base64":"{audio_base64}","turn":{chunk.turn},"seq":{seq}}}'


def token_frame(token: events.Token, seq: int) -> str:
    """Return the frame of a token, also without its model: there are up to 25 a second."""
    fields = {"type": "token", "content": token.text, "turn": token.turn, "seq": seq}
    return orjson.dumps(fields).decode()


def data_frame(event: events.DataReceived, seq: int) -> str:
    """Return the frame of data, whose JSON is not read again."""
    fields: dict[str, object] = {"type": "data", "data": orjson.Fragment(event.data)}
    fields |= {"source": event.source} if event.source else {}
    return orjson.dumps({**fields, "turn": event.turn, "seq": seq}).decode()


def frame_of(message: messages.ServerMessage) -> str:
    """Return the frame of a message."""
    fields = message.model_dump()
    last = {name: fields.pop(name, None) for name in _LAST_FIELDS}
    fields |= {name: value for name, value in last.items() if value is not None}
    return orjson.dumps(fields).decode()


def session_message(terms: SessionTerms, config: NativeConfig, seq: int) -> messages.SessionMessage:
    """Return the first message to a client."""
    return messages.SessionMessage(
        session_id=terms.session_id,
        protocol=PROTOCOL_VERSION,
        version=__version__,
        output=_output_format(config),
        input=_input_format(config.session.input),
        transport=config.session.style.transport,
        transports=terms.transports,
        seq=seq,
    )


def configured_message(
    terms: SessionTerms, config: NativeConfig, seq: int
) -> messages.ConfiguredMessage:
    """Return the reply to `configure`: the configuration that is in force now."""
    style = config.session.style
    return messages.ConfiguredMessage(
        output=_output_format(config),
        input=_input_format(config.session.input),
        transport=style.transport,
        transports=terms.transports,
        turn_detection=config.session.turn_detection,
        voice=messages.VoiceInForce(speaker=style.voice.speaker, dialect=style.voice.dialect),
        language=style.language,
        seq=seq,
    )


def error_message(
    failed: events.Failed, language: Language, seq: int, *, in_reply_to: str | int | None = None
) -> messages.ErrorMessage:
    """Return an `error` message, in the session's language."""
    return messages.ErrorMessage(
        message=error_text(failed.error, language),
        code=failed.error.code,
        recoverable=failed.recoverable,
        in_reply_to=in_reply_to,
        turn=failed.turn,
        seq=seq,
    )


def message_of(event: RareEvent, language: Language, seq: int) -> messages.ServerMessage:
    """Return the message of an event: one case for each type."""
    match event:
        case events.Status(code, turn, retry_after_ms):
            text = status_text(code, language)
            return messages.StatusMessage(
                message=text, code=code, retry_after_ms=retry_after_ms, turn=turn, seq=seq
            )
        case events.UserSpeechStarted(start_ms):
            return messages.SpeechStartedMessage(audio_start_ms=round(start_ms), seq=seq)
        case events.UserSpeechStopped(end_ms, reason):
            return messages.SpeechStoppedMessage(audio_end_ms=round(end_ms), reason=reason, seq=seq)
        case events.Transcribed(turn, text):
            return messages.TranscriptionMessage(text=text, turn=turn, seq=seq)
        case events.AgentResponded(turn, text):
            return messages.AgentResponseMessage(text=text, turn=turn, seq=seq)
        case events.PlayoutStarted(turn, format):
            return messages.TTSStartMessage(
                sample_rate=format.sample_rate_hz,
                encoding=format.encoding,
                channels=format.channels,
                turn=turn,
                seq=seq,
            )
        case events.SentenceStarted(turn, index, text):
            return messages.SentenceMessage(index=index, text=text, turn=turn, seq=seq)
        case events.Interrupted(turn, reason, played_text, played_ms, metrics):
            return messages.InterruptedMessage(
                reason=reason,
                heard_text=played_text,
                played_ms=played_ms,
                metrics=_turn_report(metrics),
                turn=turn,
                seq=seq,
            )
        case events.TurnDone(turn, metrics, unspoken):
            nodes = [messages.UnspokenNode(node=each.node, chars=each.chars) for each in unspoken]
            return messages.DoneMessage(
                metrics=_turn_report(metrics), unspoken=nodes or None, turn=turn, seq=seq
            )


def _output_format(config: NativeConfig) -> messages.OutputFormat:
    format = config.session.style.format
    return messages.OutputFormat(
        encoding=format.encoding, sample_rate=format.sample_rate_hz, framing=config.framing
    )


def _input_format(format: AudioFormat) -> messages.InputFormat:
    return messages.InputFormat(encoding=format.encoding, sample_rate=format.sample_rate_hz)


def _turn_report(metrics: TurnMetrics) -> messages.TurnReport:
    return messages.TurnReport(
        endpointing_ms=_ms(metrics.endpointing_ms),
        stt_ms=_ms(metrics.stt_ms),
        agent_first_token_ms=_ms(metrics.agent_first_token_ms),
        first_sentence_ms=_ms(metrics.first_sentence_ms),
        first_audio_ms=_ms(metrics.first_audio_ms),
        agent_done_ms=_ms(metrics.agent_done_ms),
        total_ms=_ms(metrics.total_ms),
        sentences=[_sentence_report(each, metrics.started_at) for each in metrics.sentences],
    )


def _sentence_report(sentence: SentenceMetrics, turn_started_at: float) -> messages.SentenceReport:
    selected = sentence.selected_attempt
    return messages.SentenceReport(
        index=sentence.index,
        chars=len(sentence.text),
        transport=selected.transport if selected else None,
        attempts=len(sentence.attempts),
        connection=selected.connection if selected else None,
        ttfb_ms=_ms(sentence.ttfb_ms),
        audio_ms=round(sentence.audio_ms),
        faults=sentence.faults,
        attempt_log=[_attempt_report(attempt, turn_started_at) for attempt in sentence.attempts],
    )


def _attempt_report(attempt: Attempt, turn_started_at: float) -> messages.AttemptReport:
    return messages.AttemptReport(
        transport=attempt.transport,
        connection=attempt.connection,
        fault=attempt.fault,
        heard=attempt.delivered,
        started_ms=round((attempt.started_at - turn_started_at) * 1000),
        ttfb_ms=_ms(attempt.ttfb_ms),
        total_ms=_ms(attempt.total_ms),
    )


def _ms(value: float | None) -> int | None:
    return None if value is None else round(value)
