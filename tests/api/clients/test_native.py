"""The native protocol as a translator: frames become commands, and events become frames."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from app import errors
from app.api.clients.base import Frame
from app.api.clients.native.translator import NativeTranslator, Pong
from app.audio import PCM16_16K
from app.pipeline import commands, events
from app.pipeline.session_config import InputLimits, SessionConfig, SessionTerms
from app.pipeline.timeline import TurnMetrics
from tests.api.clients.models import assert_fits
from tests.pipeline.fakes import STYLE

CONFIG = SessionConfig(STYLE)
TERMS = SessionTerms("s-1", CONFIG, InputLimits(utterance_bytes=100, text_chars=20))
ENGLISH = replace(CONFIG, style=replace(STYLE, language="en"))
DETECTING = replace(CONFIG, turn_detection="server_vad")

READ: list[tuple[dict[str, Any], list[object]]] = [
    ({"audio_base64": "UklG"}, [commands.SubmitRecording(b"RIF")]),
    ({"type": "audio_end"}, [commands.Commit()]),
    ({"type": "text", "text": "مرحبا"}, [commands.AddText("مرحبا"), commands.Respond()]),
    ({"type": "interrupt"}, [commands.Cancel()]),
    ({"type": "playback", "turn": 3, "played_ms": 7}, [commands.ReportPlayback(3, 7)]),
    ({"type": "ping", "id": "p"}, [Pong("p")]),
    ({"type": "configure", "language": "en"}, [commands.Configure(ENGLISH)]),
    ({"type": "configure", "input": {}}, [commands.Configure(CONFIG), commands.Clear()]),
    (
        {"type": "configure", "input": {}, "turn_detection": "server_vad"},
        [commands.Configure(DETECTING)],
    ),
]

WRITTEN: list[tuple[events.Event | Pong, dict[str, Any]]] = [
    (
        events.SessionOpened(),
        {
            "type": "session",
            "session_id": "s-1",
            "protocol": 1,
            "output": {"encoding": "pcm_s16le", "sample_rate": 16000, "framing": "base64"},
            "input": {"encoding": "pcm_s16le", "sample_rate": 16000},
            "transport": "",
            "transports": [],
        },
    ),
    (
        events.Status("connected"),
        {"type": "status", "message": "متصل بالخادم", "code": "connected"},
    ),
    (events.UserSpeechStarted(99.6), {"type": "speech_started", "audio_start_ms": 100}),
    (
        events.UserSpeechStopped(900.2, "limit"),
        {"type": "speech_stopped", "audio_end_ms": 900, "reason": "limit"},
    ),
    (events.Transcribed(2, "أين؟"), {"type": "transcription", "text": "أين؟", "turn": 2}),
    (events.Token(2, 'في "'), {"type": "token", "content": 'في "', "turn": 2}),
    (events.AgentResponded(2, "نعم"), {"type": "agent_response", "text": "نعم", "turn": 2}),
    (
        events.PlayoutStarted(2, PCM16_16K),
        {
            "type": "tts_start",
            "sample_rate": 16000,
            "encoding": "pcm_s16le",
            "channels": 1,
            "turn": 2,
        },
    ),
    (
        events.SentenceStarted(2, 0, "نعم"),
        {"type": "sentence", "index": 0, "text": "نعم", "turn": 2},
    ),
    (
        events.AudioChunk(2, b"\xff\xfb"),
        {"type": "tts_chunk", "audio_base64": base64.b64encode(b"\xff\xfb").decode(), "turn": 2},
    ),
    (Pong(None), {"type": "pong", "id": None}),
]


def sent(translator: NativeTranslator, event: events.Event | Pong) -> list[Frame]:
    return list(translator.write(event))


def sent_messages(translator: NativeTranslator, event: events.Event | Pong) -> list[dict[str, Any]]:
    """Return the messages of an event; each fits its model to the last field."""
    messages = [json.loads(frame) for frame in sent(translator, event)]
    for message in messages:
        assert_fits(message)
    return messages


@pytest.mark.parametrize(
    ("message", "read"), READ, ids=[each.get("type", "audio") for each, _ in READ]
)
async def test_a_message_becomes_commands(message: dict[str, Any], read: list[object]) -> None:
    assert list(await NativeTranslator(TERMS).read(json.dumps(message))) == read


@pytest.mark.parametrize(
    ("event", "fields"), WRITTEN, ids=[type(event).__name__ for event, _ in WRITTEN]
)
def test_an_event_becomes_a_message(event: events.Event | Pong, fields: dict[str, Any]) -> None:
    (message,) = sent_messages(NativeTranslator(TERMS), event)
    message.pop("version", None)
    assert message == {**fields, "seq": 1}
    assert list(message) == [*fields, "seq"], "in the order in which they always were"


def test_the_end_of_a_turn_has_its_metrics() -> None:
    done = events.TurnDone(2, TurnMetrics(stt_ms=41.6))
    interrupted = events.Interrupted(2, "client", "نعم", 70, TurnMetrics())
    translator = NativeTranslator(TERMS)
    assert sent_messages(translator, done)[0]["metrics"]["stt_ms"] == 42
    (message,) = sent_messages(translator, interrupted)
    assert (message["heard_text"], message["metrics"]["total_ms"]) == ("نعم", None)


def test_the_end_of_a_sentence_is_not_told() -> None:
    assert sent(NativeTranslator(TERMS), events.SentenceEnded(1, 0, 200)) == []


def test_a_number_is_used_up_by_a_message_that_was_sent() -> None:
    """A turn that is interrupted while its client reads slowly leaves no gap."""
    translator = NativeTranslator(TERMS)
    never_sent = translator.write(events.Token(1, "a"))
    next(never_sent)
    never_sent.close()  # type: ignore[attr-defined]  # it is a generator
    sent(translator, events.Token(1, "b"))
    assert [sent_messages(translator, Pong(1))[0]["seq"]] == [2]


async def test_an_error_names_the_message_that_it_refuses() -> None:
    translator = NativeTranslator(TERMS)
    refused = events.Failed(errors.EmptyTextError("only white space"))
    await translator.read('{"type": "text", "text": "a", "id": 7}')
    assert sent_messages(translator, refused)[0]["in_reply_to"] == 7
    of_turn = replace(refused, turn=1)
    assert "in_reply_to" not in sent_messages(translator, of_turn)[0]
    with pytest.raises(errors.UnknownMessageError):
        await translator.read('{"type": "dance", "id": "d"}')
    assert sent_messages(translator, refused)[0]["in_reply_to"] == "d"
    with pytest.raises(errors.UnexpectedBinaryError):
        await translator.read(b"\x00")
    assert "in_reply_to" not in sent_messages(translator, refused)[0]


async def test_a_configuration_is_in_force_once_the_session_has_it() -> None:
    translator = NativeTranslator(TERMS)
    await translator.read(
        '{"type": "configure", "language": "en", "output": {"framing": "binary"}}'
    )
    chunk = events.AudioChunk(2, b"aa")
    assert isinstance(sent(translator, chunk)[0], str)
    (configured,) = sent_messages(translator, events.Configured(ENGLISH, after_turn=1))
    assert (configured["language"], configured["output"]["framing"]) == ("en", "binary")
    assert sent(translator, chunk) == [b"aa"]
    assert isinstance(sent(translator, replace(chunk, turn=1))[0], str), "it began in base64"
