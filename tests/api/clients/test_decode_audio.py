"""The base64 of a recording, as clients write it."""

import base64
import random

import pytest

from app import errors
from app.api.clients.native.client_messages import (
    AudioMessage,
    decode,
    decode_audio,
    split_recording,
)

DATA = bytes(range(256)) * 400
ENCODED = base64.b64encode(DATA).decode()
MIME = base64.encodebytes(DATA).decode()
LIMIT = len(DATA)


@pytest.mark.parametrize(
    "written",
    [
        ENCODED,
        MIME,
        MIME.replace("\n", "\r\n\t "),
        f"data:audio/wav;base64,{ENCODED}",
        f"data:audio/webm;codecs=opus;base64,\n{ENCODED}\n",
    ],
)
def test_a_recording_is_decoded_however_it_is_wrapped(written: str) -> None:
    assert decode_audio(written, max_bytes=2 * LIMIT) == DATA


@pytest.mark.parametrize(
    "wrong",
    [
        "QUJD%%%%", "QUJ", "QUJDQ", "QUI=QUI=", "QUJD=", "QUJD====", "=", "QU=D", "QUJ-", "QUJ_",
        "QUJDس", "QUJD\0", "QUJD\\n", "data:;base64,QUJ", f"{ENCODED}\nQ", f"{ENCODED[:-1]}é",
    ],
)  # fmt: skip
def test_what_is_no_base64_is_refused(wrong: str) -> None:
    with pytest.raises(errors.InvalidBase64Error):
        decode_audio(wrong, max_bytes=2 * LIMIT)


@pytest.mark.parametrize("empty", ["", "data:audio/wav;base64,", " \n", "data:,"])
def test_nothing_is_told_as_nothing(empty: str) -> None:
    with pytest.raises(errors.EmptyAudioError):
        decode_audio(empty, max_bytes=LIMIT)


def test_the_limit_is_that_of_the_bytes() -> None:
    assert decode_audio(ENCODED, max_bytes=LIMIT) == DATA
    for too_small in (LIMIT - 1, LIMIT - 4, 0):
        with pytest.raises(errors.UtteranceTooLongError):
            decode_audio(ENCODED, max_bytes=too_small)


def test_it_decodes_and_refuses_what_the_standard_library_does() -> None:
    numbers = random.Random(6)
    refused = 0
    for length in range(400):
        octets = list(base64.b64encode(numbers.randbytes(length)).decode())
        for _ in range(numbers.randrange(3)):
            if octets:
                octets[numbers.randrange(len(octets))] = numbers.choice("AZaz09+/=-_.")
        text = "".join(octets)
        try:
            expected = base64.b64decode(text, validate=True)
        except ValueError:
            expected = b""
        try:
            decoded = decode_audio(text, max_bytes=LIMIT)
        except (errors.InvalidBase64Error, errors.EmptyAudioError):
            decoded, refused = b"", refused + 1
        assert decoded == expected or len(text) % 4  # the library overlooks a last `=` too many
    assert 50 < refused < 350


def test_escaped_slashes_are_unescaped_in_large_and_in_small_frames() -> None:
    octets = b"\xff\xff\xff" * 30_000
    encoded = base64.b64encode(octets).decode().replace("/", "\\/")
    for part in (encoded[:80], encoded):
        message = decode(f'{{"type":"audio","audio_base64":"{part}"}}')
        assert isinstance(message, AudioMessage)
        decoded = decode_audio(message.audio_base64, max_bytes=LIMIT)
        assert decoded == octets[: len(decoded)]
    assert "\\" not in split_recording(f'{{"audio_base64":"{encoded}"}}')[1]
