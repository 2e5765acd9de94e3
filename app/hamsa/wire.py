"""The provider's messages: a pure codec, without I/O.

One socket carries one request at a time, and frames carry no request id: binary frames are audio,
text frames are JSON `{"type", "payload"}`, except a transcript, which is a bare string.
"""

import base64
from dataclasses import dataclass
from typing import Any

import orjson

from app import errors
from app.audio import AudioFormat

MAX_TEXT_CHARS = 2000
"""Longest text of one request, in characters (vendor documentation)."""

STT_EOS_THRESHOLD = 0.3
"""End-of-speech threshold of the vendor's own examples."""


@dataclass(frozen=True, slots=True)
class Ack:
    """A request was taken up: audio that follows belongs to it."""


@dataclass(frozen=True, slots=True)
class Info:
    """A greeting, or any other notice without consequence."""


@dataclass(frozen=True, slots=True)
class Audio:
    """A piece of speech; its boundaries may split a sample."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The provider says that the answer is complete, which need not be true."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What speech-to-text heard."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The provider refuses or abandons the request."""

    error: errors.ProviderError


Frame = Ack | Info | Audio | End | Transcript | Failure


def nearest_supported_format(format: AudioFormat) -> AudioFormat:
    """Return what the provider makes that comes nearest to a format: what it is asked for."""
    if format.encoding == "mulaw":
        return AudioFormat("mulaw", 8000)
    return AudioFormat("pcm_s16le", 8000 if format.sample_rate_hz == 8000 else 16000)


def tts_request(
    text: str, *, speaker: str, dialect: str, language: str, format: AudioFormat
) -> str:
    """Encode a text-to-speech request for the socket."""
    payload = tts_payload(text, speaker=speaker, dialect=dialect, format=format)
    return _encode("tts", {**payload, "languageId": language})


def tts_payload(text: str, *, speaker: str, dialect: str, format: AudioFormat) -> dict[str, Any]:
    """Return the fields that the socket and REST have in common.

    `sampleRate` is left out at 16 kHz, the default: older deployments do not know the field.
    """
    payload: dict[str, Any] = {
        "text": text,
        "speaker": speaker,
        "dialect": dialect,
        "mulaw": format.encoding == "mulaw",
    }
    if format.encoding == "pcm_s16le" and format.sample_rate_hz == 8000:
        payload["sampleRate"] = "8k"
    return payload


def stt_request(wav: bytes, *, language: str) -> str:
    """Encode a speech-to-text request: one whole utterance as a 16 kHz mono WAV file."""
    return _encode("stt", stt_payload(wav, language=language))


def stt_payload(wav: bytes, *, language: str) -> dict[str, Any]:
    """Return the fields that the socket and REST have in common."""
    return {
        "audioBase64": base64.b64encode(wav).decode("ascii"),
        "language": language,
        "isEosEnabled": True,
        "eosThreshold": STT_EOS_THRESHOLD,
    }


def decode(frame: str | bytes) -> Frame:
    """Decode one frame.

    Only a JSON object with a known `type` is control: a transcript may happen to parse as JSON.
    """
    if isinstance(frame, bytes):
        return Audio(frame)
    if not frame.lstrip().startswith("{"):
        return Transcript(frame)
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return Transcript(frame)
    kind = message.get("type")
    payload = message.get("payload")
    text = _text_of(payload)
    match kind:
        case "ack":
            return Ack()
        case "end":
            return End()
        case "info":
            return Info()
        case "error":
            return Failure(error_from_message(text))
        case "transcription" | "stt" | "response" if (
            isinstance(payload, dict) and "text" in payload
        ):
            return Transcript(str(payload["text"]))
        case "tts" | "stt" | "response":
            return Info()
        case _:
            return Transcript(frame)


def error_from_message(message: str) -> errors.ProviderError:
    """Tell from the provider's words whether another attempt can help."""
    words = message.lower()
    text = f"provider error: {message or 'no reason given'}"
    if "insufficient funds" in words or "usage limit" in words:
        return errors.QuotaExceededError(text)
    if "api key" in words or "unauthorized" in words:
        return errors.AuthenticationError(text)
    if any(mark in words for mark in ("not owned", "only wav", "invalid", "required", "must ")):
        return errors.RefusedError(text)
    if "rate limit" in words or "too many" in words:
        return errors.RateLimitedError(text)
    return errors.ProviderUnavailableError(text)


def error_from_close(code: int | None, reason: str) -> errors.ProviderError:
    """Map the close code of a socket. 4001 and 4003 are final; all others may be retried."""
    text = f"socket closed by the provider: {code or 'no close frame'} {reason}".rstrip()
    match code:
        case 4001:
            return errors.AuthenticationError(text)
        case 4003:
            return errors.QuotaExceededError(text)
        case _:
            return errors.ConnectionLostError(text)


def error_from_status(
    status: int, body: bytes = b"", retry_after_s: float | None = None
) -> errors.ProviderError:
    """Map an HTTP status, and the `{"code","message"}` that came with it."""
    code, message = _code_and_message(body)
    text = f"provider answered HTTP {status}" + (f": {message}" if message else "")
    words = message.lower()
    if status == 429 and code == "10429":
        return errors.QuotaExceededError(text)
    if status == 429:
        return errors.RateLimitedError(text, retry_after_s)
    if status == 402 or "insufficient funds" in words:
        return errors.QuotaExceededError(text)
    if status in (401, 403):
        return errors.AuthenticationError(text)
    if status >= 500 or status == 408:
        return errors.ProviderUnavailableError(text)
    if status == 400 and "aborted" in words:
        return errors.ProviderUnavailableError(text)
    return errors.RefusedError(text)


def _encode(kind: str, payload: dict[str, Any]) -> str:
    return orjson.dumps({"type": kind, "payload": payload}).decode()


def _text_of(payload: Any) -> str:
    if isinstance(payload, dict):
        return str(payload.get("message", ""))[:200]
    return str(payload or "")[:200]


def _code_and_message(body: bytes) -> tuple[str, str]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(parsed, dict):
        return "", ""
    return str(parsed.get("code", "")), str(parsed.get("message", ""))[:200]


def retry_after_s(header: str | None) -> float | None:
    """Read a `Retry-After` header in seconds; its date form, unused by the vendor, is None."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < 3600 else None
