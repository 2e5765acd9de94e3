"""Client messages: each is answered, and one that is refused costs nothing but an `error`."""

import json
from typing import Any

import pytest

from app.simulator import Simulator
from tests.gateway import (
    ARABIC_WAV,
    audio_of,
    calling,
    of_type,
    running_gateway,
    settings_for,
)

BAD: list[tuple[str, str | bytes | dict[str, Any], str]] = [
    ("not JSON", "{oops", "invalid-json"),
    ("empty", "", "invalid-json"),
    ("a list", "[]", "invalid-message"),
    ("no type", {"hello": 1}, "invalid-message"),
    ("type is no string", {"type": 7}, "invalid-message"),
    ("unknown type", {"type": "dance"}, "unknown-message-type"),
    ("audio of the wrong shape", {"audio_base64": 7}, "invalid-message"),
    ("not base64", {"audio_base64": "%%%"}, "invalid-base64"),
    ("base64 of the wrong length", {"audio_base64": "QUJDR"}, "invalid-base64"),
    ("empty audio", {"audio_base64": ""}, "empty-audio"),
    ("too many bytes", {"audio_base64": "QUJD" * 30000}, "utterance-too-long"),
    ("binary frame", b"\x00\x01", "unexpected-binary"),
    ("no text", {"type": "text", "text": " \n"}, "empty-text"),
    ("too much text", {"type": "text", "text": "س" * 101}, "text-too-long"),
    ("text is no string", {"type": "text", "text": ["a"]}, "invalid-message"),
    ("dialect", {"type": "configure", "voice": {"dialect": "xx"}}, "unsupported-configuration"),
    ("framing", {"type": "configure", "output": {"framing": "z"}}, "unsupported-configuration"),
    ("detection", {"type": "configure", "turn_detection": "?"}, "unsupported-configuration"),
]


@pytest.mark.parametrize("wrong", BAD, ids=[name for name, _, _ in BAD])
async def test_bad_input_gets_one_error_and_the_session_goes_on(
    simulator: Simulator, wrong: tuple[str, str | bytes | dict[str, Any], str]
) -> None:
    _, message, code = wrong
    if isinstance(message, dict):
        message = json.dumps({**message, "id": "m-1"})
    settings = settings_for(simulator, max_utterance_bytes=64 * 1024, max_text_chars=100)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.socket.send(message)
        error = await caller.next()
        assert (error["type"], error["code"], error["recoverable"]) == ("error", code, True)
        assert error["message"]
        if "m-1" in str(message):
            assert error["in_reply_to"] == "m-1"
        await caller.send({"type": "text", "text": "مرحبا"})
        events = await caller.until("done")
        assert not of_type(events, "error")
        assert audio_of(events)


async def test_a_field_of_the_wrong_type_is_named(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "text", "text": ["a"]})
        assert "(text: " in (await caller.next())["message"]


@pytest.mark.parametrize(
    ("audio", "limit_s", "code"),
    [
        (b"this is no audio at all", 120.0, "undecodable-audio"),
        (ARABIC_WAV[:44], 120.0, "empty-audio"),
        (ARABIC_WAV, 1.0, "utterance-too-long"),
    ],
)
async def test_a_recording_that_cannot_be_used_ends_its_turn_with_an_error(
    simulator: Simulator, audio: bytes, limit_s: float, code: str
) -> None:
    settings = settings_for(simulator, max_utterance_s=limit_s)
    async with running_gateway(settings) as url, calling(url) as caller:
        await caller.send_audio(audio)
        events = await caller.until("done")
        assert [event["code"] for event in of_type(events, "error")] == [code]
        await caller.send({"type": "text", "text": "مرحبا"})
        assert audio_of(await caller.until("done"))


async def test_ping_is_answered_with_the_same_id(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        await caller.send({"type": "ping", "id": "p-9"})
        assert (await caller.next())["id"] == "p-9"


async def test_configure_changes_voice_and_language_and_returns_what_is_in_force(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        configured = await caller.configure(voice={"speaker": "Salma"}, language="en")
        assert configured["voice"] == {"speaker": "Salma", "dialect": "ksa"}
        assert configured["output"] == {
            "encoding": "pcm_s16le",
            "sample_rate": 16000,
            "framing": "base64",
        }
        await caller.send({"type": "dance"})
        assert (await caller.next())["message"].startswith("The message")


async def test_a_refused_configuration_leaves_the_old_one_in_force(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator)) as url, calling(url) as caller:
        error = await caller.configure(voice={"speaker": "Lana", "dialect": "?"})
        assert "voice.dialect" in error["message"]
        assert (await caller.configure())["voice"]["speaker"] == "Majd"
