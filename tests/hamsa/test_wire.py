"""The codec, by messages that the provider really sends."""

import base64
import json
from typing import Any

import pytest

from app import errors
from app.audio import AudioFormat
from app.hamsa import wire

PCM = AudioFormat("pcm_s16le", 16000)


def tts_message(format: AudioFormat = PCM) -> dict[str, Any]:
    """Return a TTS request as the provider decodes it."""
    message: dict[str, Any] = json.loads(
        wire.tts_request("مرحبا", speaker="Majd", dialect="ksa", language="ar", format=format)
    )
    return message


def test_a_tts_request_has_the_documented_shape() -> None:
    assert tts_message() == {
        "type": "tts",
        "payload": {
            "text": "مرحبا",
            "speaker": "Majd",
            "dialect": "ksa",
            "languageId": "ar",
            "mulaw": False,
        },
    }


def test_the_sample_rate_is_named_only_when_it_is_not_the_default() -> None:
    assert tts_message(AudioFormat("pcm_s16le", 8000))["payload"]["sampleRate"] == "8k"
    mulaw = tts_message(AudioFormat("mulaw", 8000))["payload"]
    assert mulaw["mulaw"] is True
    assert "sampleRate" not in mulaw


def test_an_stt_request_carries_the_wav_and_the_end_of_speech_settings() -> None:
    message = json.loads(wire.stt_request(b"RIFF....", language="ar"))
    assert message["type"] == "stt"
    assert base64.b64decode(message["payload"].pop("audioBase64")) == b"RIFF...."
    assert message["payload"] == {"language": "ar", "isEosEnabled": True, "eosThreshold": 0.3}


def test_the_key_appears_in_no_request() -> None:
    assert "key" not in json.dumps(tts_message()).lower()


FRAMES: list[tuple[str | bytes, wire.Frame]] = [
    ('{"type":"info","payload":{"message":"Connected to realtime WebSocket server"}}', wire.Info()),
    ('{"type":"ack","payload":{"message":"Connected"}}', wire.Ack()),
    (
        '{"type":"ack","payload":{"message":"Real time text to speach connection establesh"}}',
        wire.Ack(),
    ),
    (b"\x01\x02\x03", wire.Audio(b"\x01\x02\x03")),
    ('{"type":"end","payload":{"message":"End of TTS stream"}}', wire.End()),
    ("السلام عليكم", wire.Transcript("السلام عليكم")),
    ("", wire.Transcript("")),
    ("42", wire.Transcript("42")),
    ('"نعم"', wire.Transcript('"نعم"')),
    ("null", wire.Transcript("null")),
    ("[1, 2]", wire.Transcript("[1, 2]")),
    ('{"city": "الرياض"}', wire.Transcript('{"city": "الرياض"}')),
    ('{"type": "unknown"}', wire.Transcript('{"type": "unknown"}')),
    ('{"type": ["end"]}', wire.Transcript('{"type": ["end"]}')),
    ("{not json", wire.Transcript("{not json")),
    ('{"type":"transcription","payload":{"text":"أين شحنتي"}}', wire.Transcript("أين شحنتي")),
    ('{"type":"tts","payload":{}}', wire.Info()),
    ('{"type":"end"}', wire.End()),
    ('{"type":"ack","payload":null}', wire.Ack()),
]


@pytest.mark.parametrize(("frame", "expected"), FRAMES, ids=[str(f)[:40] for f, _ in FRAMES])
def test_each_frame_is_decoded_by_its_content(frame: str | bytes, expected: wire.Frame) -> None:
    assert wire.decode(frame) == expected


FAILURES: list[tuple[str, type[errors.ProviderError]]] = [
    ("Voice not owned by user", errors.RefusedError),
    ("Only WAV files are supported", errors.RefusedError),
    ("insufficient funds", errors.QuotaExceededError),
    ("usage limit reached", errors.QuotaExceededError),
    ("Invalid API key", errors.AuthenticationError),
    ("rate limit exceeded", errors.RateLimitedError),
    ("aborted", errors.ProviderUnavailableError),
    ("", errors.ProviderUnavailableError),
]


@pytest.mark.parametrize(("message", "kind"), FAILURES)
def test_the_words_of_an_error_frame_say_whether_it_is_final(
    message: str, kind: type[errors.ProviderError]
) -> None:
    frame = wire.decode(json.dumps({"type": "error", "payload": {"message": message}}))
    assert isinstance(frame, wire.Failure)
    assert type(frame.error) is kind


@pytest.mark.parametrize("payload", ['"plain words"', "null", "7", "[]"])
def test_an_error_frame_with_an_odd_payload_is_still_an_error(payload: str) -> None:
    assert isinstance(wire.decode(f'{{"type":"error","payload":{payload}}}'), wire.Failure)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, errors.ConnectionLostError),
        (1001, errors.ConnectionLostError),
        (4001, errors.AuthenticationError),
        (4003, errors.QuotaExceededError),
        (4500, errors.ConnectionLostError),
        (None, errors.ConnectionLostError),
    ],
)
def test_each_close_code_has_its_error(code: int | None, kind: type[errors.ProviderError]) -> None:
    error = wire.error_from_close(code, "why")
    assert type(error) is kind
    assert error.retryable == (code not in (4001, 4003))


STATUSES: list[tuple[int, bytes, type[errors.ProviderError]]] = [
    (400, b'{"code":400,"message":"text is too long"}', errors.RefusedError),
    (400, b'{"code":400,"message":"aborted"}', errors.ProviderUnavailableError),
    (401, b'{"code":401,"message":"bad key"}', errors.AuthenticationError),
    (403, b'{"code":403,"message":"insufficient funds"}', errors.QuotaExceededError),
    (429, b'{"code":429,"message":"slow down"}', errors.RateLimitedError),
    (429, b'{"code":10429,"message":"usage limit reached"}', errors.QuotaExceededError),
    (429, b"", errors.RateLimitedError),
    (500, b"<html>", errors.ProviderUnavailableError),
    (503, b"[]", errors.ProviderUnavailableError),
]


@pytest.mark.parametrize(("status", "body", "kind"), STATUSES)
def test_each_http_status_has_its_error(
    status: int, body: bytes, kind: type[errors.ProviderError]
) -> None:
    assert type(wire.error_from_status(status, body)) is kind


def test_a_rate_limit_keeps_its_retry_after() -> None:
    error = wire.error_from_status(429, b"", wire.retry_after_s("2"))
    assert isinstance(error, errors.RateLimitedError)
    assert error.retry_after_s == 2


@pytest.mark.parametrize("header", [None, "", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9"])
def test_an_unusable_retry_after_is_ignored(header: str | None) -> None:
    assert wire.retry_after_s(header) is None


def test_a_message_of_too_many_values_is_a_failure_and_not_parsed() -> None:
    frame = '{"type":"info","payload":{"rows":[' + "[]," * 60_000 + "0]}}"
    match wire.decode(frame):
        case wire.Failure(error):
            assert isinstance(error, errors.ProtocolError)
            assert "more than 30000 values" in str(error)
        case other:
            pytest.fail(f"got {type(other).__name__}")


def test_a_long_transcript_with_brackets_is_a_transcript() -> None:
    text = "[نعم] " * 60_000
    assert wire.decode(text) == wire.Transcript(text)
