"""The provider's messages: a codec without I/O. `docs/hamsa.md` describes the protocol.

A socket carries one request at a time, and frames carry no request id. Binary frames are audio.
Text frames are JSON `{"type", "payload"}`, except a transcript, which is a bare string.
"""

from dataclasses import dataclass
from typing import Any

import orjson
import pybase64

from app import errors
from app.audio import AudioFormat
from app.net.bounded_json import TooManyValuesError, check_values

MAX_TEXT_CHARS = 2000
"""Longest text of a TTS request, in characters, not bytes (`docs/hamsa.md`, Text to speech)."""

STT_EOS_THRESHOLD = 0.3
"""End-of-speech threshold in all of the vendor's examples (`docs/hamsa.md`, Speech to text)."""

MAX_ERROR_BODY_BYTES = 4096
"""How much of an error's body is read for its reason."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The provider has accepted a request; audio that follows belongs to it."""


@dataclass(frozen=True, slots=True)
class Info:
    """A greeting, or another message that needs no reaction."""


@dataclass(frozen=True, slots=True)
class Audio:
    """A chunk of speech. It may begin or end within a sample."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The provider says that the audio is complete, which need not be true."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of an utterance."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The provider has refused or aborted the request."""

    error: errors.ProviderError


Frame = Ack | Info | Audio | End | Transcript | Failure


def nearest_supported_format(format: AudioFormat) -> AudioFormat:
    """Return the format that the provider can make and that needs the least conversion."""
    if format.encoding == "mulaw":
        return AudioFormat("mulaw", 8000)
    return AudioFormat("pcm_s16le", 8000 if format.sample_rate_hz == 8000 else 16000)


def tts_request(
    text: str, *, speaker: str, dialect: str, language: str, format: AudioFormat
) -> bytes:
    """Encode a TTS request for the socket: UTF-8 of a text frame."""
    payload = tts_payload(text, speaker=speaker, dialect=dialect, format=format)
    return _encode("tts", {**payload, "languageId": language})


def tts_payload(text: str, *, speaker: str, dialect: str, format: AudioFormat) -> dict[str, Any]:
    """Return the fields of a TTS request that the socket and REST have in common.

    Older deployments do not know `sampleRate`, so it is sent only when it is not 16 kHz, the
    default.
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


def stt_request(wav: bytes, *, language: str) -> bytes:
    """Encode an STT request for the socket: one whole utterance as a 16 kHz mono WAV file.

    UTF-8 of a text frame: as a string it would be copied twice more on its way.
    """
    return _encode("stt", stt_payload(wav, language=language))


def stt_payload(wav: bytes, *, language: str) -> dict[str, Any]:
    """Return the fields of an STT request that the socket and REST have in common."""
    return {
        "audioBase64": pybase64.b64encode_as_string(wav),
        "language": language,
        "isEosEnabled": True,
        "eosThreshold": STT_EOS_THRESHOLD,
    }


def decode(frame: str | bytes) -> Frame:
    """Decode one frame.

    Only a JSON object with a known `type` is a control message. Any other text is a transcript,
    which may look like JSON.
    """
    if isinstance(frame, bytes):
        return Audio(frame)
    if not frame.lstrip().startswith("{"):
        return Transcript(frame)
    try:
        check_values(frame)
        message = orjson.loads(frame)
    except TooManyValuesError as error:
        return Failure(errors.ProtocolError(str(error)))
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
    """Map the text of an error message to an error. Its type says whether a retry can help."""
    words = message.lower()
    text = f"provider error: {message or 'no reason given'}"
    if "insufficient funds" in words or "usage limit" in words:
        return errors.QuotaExceededError(text)
    if "api key" in words or "unauthorized" in words:
        return errors.AuthenticationError(text)
    refusals = ("not owned", "only wav", "invalid", "required", "must ")
    if any(refusal in words for refusal in refusals):
        return errors.RefusedError(text)
    if "rate limit" in words or "too many" in words:
        return errors.RateLimitedError(text)
    return errors.ProviderUnavailableError(text)


def error_from_close(code: int | None, reason: str) -> errors.ProviderError:
    """Map the close code of a socket to an error. Only 4001 and 4003 are final."""
    text = f"provider closed the socket: {code or 'no close frame'} {reason}".rstrip()
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
    """Map an HTTP status and a body `{"code","message"}` to an error (`docs/hamsa.md`, REST).

    `retry_after_s` is the value of the `Retry-After` header, in seconds.
    """
    code, message = _code_and_message(body)
    text = f"provider returned HTTP {status}" + (f": {message}" if message else "")
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


def _encode(kind: str, payload: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "payload": payload})


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
    """Read a `Retry-After` header in seconds.

    Return None for a negative value, an hour or more, or a date, which the vendor does not use.
    """
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < 3600 else None
