"""Speech to text: it listens only for whether somebody speaks, and answers from a script."""

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any

from app.audio import peak_dbfs
from app.simulator.tts import InvalidRequestError

_SILENCE_DBFS = -50.0  # below the loudest sample of a quiet room through a phone
_WANTED = (1, 1, 16_000, 16)  # PCM, mono, 16 kHz, 16 bits


def contains_speech(payload: Mapping[str, Any]) -> bool:
    """Tell whether the utterance in a request is louder than silence.

    Raises `InvalidRequestError` for anything but one WAV file with 16 kHz mono PCM16.
    """
    encoded = payload.get("audioBase64")
    if not isinstance(encoded, str) or not encoded:
        raise InvalidRequestError("audioBase64 is required")
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidRequestError("audioBase64 is not base64") from None
    return peak_dbfs(_samples(data)) >= _SILENCE_DBFS


def _samples(data: bytes) -> bytes:
    """Return the PCM16 in a WAV file."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise InvalidRequestError("Only WAV files are supported")
    offset, wanted = 12, False
    while offset + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, offset)
        offset += 8
        if name == b"fmt " and size >= 16 and offset + 16 <= len(data):
            tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, offset)
            wanted = (tag, channels, rate_hz, bits) == _WANTED
        if name == b"data":
            if not wanted:
                raise InvalidRequestError("WAV must be 16 kHz, mono, 16-bit PCM")
            pcm = data[offset : offset + size]
            return pcm[: len(pcm) // 2 * 2]
        offset += size + size % 2
    raise InvalidRequestError("WAV holds no audio")
