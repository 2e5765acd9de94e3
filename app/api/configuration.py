"""What a client may configure, and what is in force."""

from typing import Any

from app import errors
from app.api.protocol import ConfigureMessage, InputChoice, OutputChoice, VoiceChoice
from app.audio import AudioFormat
from app.pipeline.speech import SpeechStyle
from app.transports.base import Voice

PROTOCOL_VERSION = 1

INPUT: dict[str, Any] = {"encoding": "pcm_s16le", "sample_rate": 16000}
TURN_DETECTION = "none"


def configured(message: ConfigureMessage, style: SpeechStyle) -> SpeechStyle:
    """Return the style that a client asks for. Raises `UnsupportedConfigurationError`."""
    _check(message, style.format)
    voice = message.voice or VoiceChoice()
    return SpeechStyle(
        voice=Voice(voice.speaker or style.voice.speaker, voice.dialect or style.voice.dialect),
        format=style.format,
        language=message.language or style.language,
    )


def _check(message: ConfigureMessage, format: AudioFormat) -> None:
    """Refuse what this gateway cannot do yet by the name of its field."""
    in_force = {"output": output_of(format), "input": INPUT}
    for section, values in in_force.items():
        choice: OutputChoice | InputChoice | None = getattr(message, section)
        for field, wanted in (choice.model_dump(exclude_none=True) if choice else {}).items():
            if wanted != values.get(field):
                raise errors.UnsupportedConfigurationError(
                    f"{section}.{field}: {wanted!r} is not supported; it is {values[field]!r}"
                )
    if message.turn_detection not in (None, TURN_DETECTION):
        raise errors.UnsupportedConfigurationError(
            f"turn_detection: {message.turn_detection!r} is not supported; it is {TURN_DETECTION!r}"
        )


def output_of(format: AudioFormat) -> dict[str, Any]:
    """Describe how audio is sent."""
    return {
        "encoding": format.encoding,
        "sample_rate": format.sample_rate_hz,
        "framing": "base64",
    }


def session_message(session_id: str, style: SpeechStyle) -> dict[str, Any]:
    """Build the greeting."""
    return {
        "type": "session",
        "session_id": session_id,
        "protocol": PROTOCOL_VERSION,
        "output": output_of(style.format),
        "input": INPUT,
    }


def configured_message(style: SpeechStyle) -> dict[str, Any]:
    """Build the answer to `configure`: what is in force now."""
    return {
        "type": "configured",
        "output": output_of(style.format),
        "input": INPUT,
        "turn_detection": TURN_DETECTION,
        "voice": {"speaker": style.voice.speaker, "dialect": style.voice.dialect},
        "language": style.language,
    }
