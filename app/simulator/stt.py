"""Speech to text: find out whether somebody speaks; the words come from a script."""

import base64
import binascii
import io
import wave
from collections.abc import Mapping
from typing import Any

from app.audio import peak_dbfs
from app.simulator.tts import InvalidRequestError

_SILENCE_DBFS = -50.0  # below the loudest sample of a quiet room through a phone
_ACCEPTED_FORMAT = (1, 2, 16_000)  # channels, bytes a sample, Hz


def contains_speech(payload: Mapping[str, Any]) -> bool:
    """Return whether the utterance in a request is louder than silence.

    Raises `InvalidRequestError` for anything but one WAV file of 16 kHz mono PCM16, in base64.
    """
    encoded = payload.get("audioBase64")
    if not isinstance(encoded, str) or not encoded:
        raise InvalidRequestError("audioBase64 is required")
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidRequestError("audioBase64 is not base64") from None
    return wav_contains_speech(data)


def wav_contains_speech(data: bytes) -> bool:
    """Return whether a WAV file is louder than silence.

    Raises `InvalidRequestError` for anything but 16 kHz mono PCM16.
    """
    return peak_dbfs(_read_samples(data)) >= _SILENCE_DBFS


def _read_samples(data: bytes) -> bytes:
    """Return the PCM16 of a WAV file, and of one that is cut off what there is of it."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise InvalidRequestError("Only WAV files are supported")
    wrong_format = InvalidRequestError("WAV must be 16 kHz, mono, 16-bit PCM")
    try:
        with wave.open(io.BytesIO(data), "rb") as file:
            if file.getparams()[:3] != _ACCEPTED_FORMAT:
                raise wrong_format
            pcm = file.readframes(file.getnframes())
    # `wave` ends with a RuntimeError when a chunk claims to be longer than the file.
    except (wave.Error, EOFError, RuntimeError):
        raise wrong_format from None
    return pcm[: len(pcm) // 2 * 2]
