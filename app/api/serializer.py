"""Serializes events into wire messages. See `docs/protocol.md`."""

import base64
from typing import Any

from app.api.localization import error_text, status_text
from app.errors import NabraError
from app.pipeline import events
from app.pipeline.timeline import SentenceMetrics, TurnMetrics
from app.transports.base import Attempt
from app.types import Language


def error_message(
    error: NabraError, language: Language, *, recoverable: bool = True
) -> dict[str, Any]:
    """Build an `error` message in the session's language."""
    return {
        "type": "error",
        "message": error_text(error, language),
        "code": error.code,
        "recoverable": recoverable,
    }


def serialize(event: events.Event, language: Language) -> dict[str, Any]:
    """Return the wire message of an event, without `seq`."""
    message = _body(event, language)
    if event.turn is not None:
        message["turn"] = event.turn
    return message


def _body(event: events.Event, language: Language) -> dict[str, Any]:
    """Return the fields of an event: one case for each type, the frequent ones first."""
    match event:
        case events.AudioChunk(_, data):
            return {"type": "tts_chunk", "audio_base64": base64.b64encode(data).decode("ascii")}
        case events.Token(_, text):
            return {"type": "token", "content": text}
        case events.Status(code, _, retry_after_ms):
            status = {"type": "status", "message": status_text(code, language), "code": code}
            return (
                status if retry_after_ms is None else {**status, "retry_after_ms": retry_after_ms}
            )
        case events.UserSpeechStarted(start_ms):
            return {"type": "speech_started", "audio_start_ms": round(start_ms)}
        case events.UserSpeechStopped(end_ms, reason):
            return {"type": "speech_stopped", "audio_end_ms": round(end_ms), "reason": reason}
        case events.Transcribed(_, text):
            return {"type": "transcription", "text": text}
        case events.AgentResponded(_, text):
            return {"type": "agent_response", "text": text}
        case events.PlayoutStarted(_, format):
            return {
                "type": "tts_start",
                "sample_rate": format.sample_rate_hz,
                "encoding": format.encoding,
                "channels": format.channels,
            }
        case events.SentenceStarted(_, index, text):
            return {"type": "sentence", "index": index, "text": text}
        case events.Interrupted(_, reason, played_text, played_ms, metrics):
            return {
                "type": "interrupted",
                "reason": reason,
                "heard_text": played_text,
                "played_ms": played_ms,
                "metrics": _metrics(metrics),
            }
        case events.TurnDone(_, metrics):
            return {"type": "done", "metrics": _metrics(metrics)}
        case events.Failed(error, _, recoverable):
            return error_message(error, language, recoverable=recoverable)


def _metrics(metrics: TurnMetrics) -> dict[str, Any]:
    return {
        "endpointing_ms": _ms(metrics.endpointing_ms),
        "stt_ms": _ms(metrics.stt_ms),
        "agent_first_token_ms": _ms(metrics.agent_first_token_ms),
        "first_sentence_ms": _ms(metrics.first_sentence_ms),
        "first_audio_ms": _ms(metrics.first_audio_ms),
        "agent_done_ms": _ms(metrics.agent_done_ms),
        "total_ms": _ms(metrics.total_ms),
        "sentences": [_sentence(sentence, metrics.started_at) for sentence in metrics.sentences],
    }


def _sentence(sentence: SentenceMetrics, turn_started_at: float) -> dict[str, Any]:
    selected = sentence.selected_attempt
    return {
        "index": sentence.index,
        "chars": len(sentence.text),
        "transport": selected and selected.transport,
        "attempts": len(sentence.attempts),
        "connection": selected and selected.connection,
        "ttfb_ms": _ms(sentence.ttfb_ms),
        "audio_ms": _ms(sentence.audio_ms),
        "faults": sentence.faults,
        "attempt_log": [_attempt(attempt, turn_started_at) for attempt in sentence.attempts],
    }


def _attempt(attempt: Attempt, turn_started_at: float) -> dict[str, Any]:
    return {
        "transport": attempt.transport,
        "connection": attempt.connection,
        "fault": attempt.fault,
        "heard": attempt.delivered,
        "started_ms": _ms((attempt.started_at - turn_started_at) * 1000),
        "ttfb_ms": _ms(attempt.ttfb_ms),
        "total_ms": _ms(attempt.total_ms),
    }


def _ms(value: float | None) -> int | None:
    return None if value is None else round(value)
