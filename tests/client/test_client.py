"""`Client`: turns, what goes wrong, and the address."""

import asyncio
import http
import socket

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Response

from app.audio import encode_mulaw
from app.client.client import ClientError, Event, connect_client
from tests.client.fake_gateway import PCM, FakeGateway, Script, chunk, ignore, running, turn


async def test_a_typed_turn() -> None:
    """A typed turn brings text, audio, metrics and the time to first audio at the client."""
    async with running(FakeGateway(turn())) as gateway, connect_client(gateway.url) as client:
        result = await client.send_text("مرحبا", ignore)
    assert gateway.received == [{"type": "text", "text": "مرحبا", "id": "1"}]
    assert result.text == "أهلا وسهلا."
    assert bytes(result.audio) == PCM
    assert result.metrics["stt_ms"] == 120.6
    assert result.first_audio_ms is not None
    assert result.errors == []


async def test_a_spoken_turn_is_one_message() -> None:
    """A recording travels as one `audio_base64`."""
    async with running(FakeGateway(turn())) as gateway, connect_client(gateway.url) as client:
        await client.send_recording(b"RIFF...", ignore)
    assert gateway.received == [{"audio_base64": "UklGRi4uLg==", "id": "1"}]


async def test_the_audio_as_wav() -> None:
    """PCM16 keeps its samples; the header says its rate."""
    script: Script = [{"type": "tts_start", "sample_rate": 8000}, chunk(PCM), {"type": "done"}]
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as client:
        wave = (await client.send_text("x", ignore)).wav()
    assert wave[:4] == b"RIFF"
    assert int.from_bytes(wave[24:28], "little") == 8000
    assert wave[44:] == PCM


async def test_mulaw_becomes_pcm() -> None:
    """Mu-law, here in a binary frame, becomes PCM16."""
    script: Script = [
        {"type": "tts_start", "sample_rate": 8000, "encoding": "mulaw"},
        encode_mulaw(PCM),
        {"type": "done"},
    ]
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as client:
        wave = (await client.send_text("x", ignore)).wav()
    assert int.from_bytes(wave[20:22], "little") == 1
    assert int.from_bytes(wave[34:36], "little") == 16
    assert len(wave) == 44 + len(PCM)


async def test_unknown_events_are_ignored() -> None:
    """Events and fields of a later protocol do no harm."""
    script: Script = [{"type": "hologram", "depth": 3}, {"no": "type"}, *turn()]
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as client:
        assert (await client.send_text("x", ignore)).text == "أهلا وسهلا."


async def test_a_rejected_message_ends_the_turn() -> None:
    """An error in reply to our message that names no turn is the last event."""
    refusal = {"type": "error", "code": "empty-text", "message": "…", "in_reply_to": "1"}
    async with running(FakeGateway([refusal])) as gateway, connect_client(gateway.url) as client:
        result = await client.send_text("x", ignore)
    assert [error["code"] for error in result.errors] == ["empty-text"]


async def test_a_failed_turn_ends_with_done() -> None:
    """An error within a turn is followed by `done`; events of that turn are ignored later."""
    failure = {"type": "error", "code": "no-speech", "turn": 1, "in_reply_to": "1"}
    first = [failure, {"type": "done", "turn": 1, "metrics": {"total_ms": 5}}]
    late = {"type": "token", "content": "late", "turn": 1}
    seen: list[Event] = []
    gateway = FakeGateway(first, [late, *turn(2)])
    async with running(gateway), connect_client(gateway.url) as client:
        failed = await client.send_text("x", ignore)
        await client.send_text("y", seen.append)
    assert len(failed.errors) == 1
    assert failed.metrics == {"total_ms": 5}
    assert seen[-1]["type"] == "done"
    assert {event["turn"] for event in seen if "turn" in event} == {2}


async def test_an_interrupted_turn_is_over() -> None:
    """Nothing of a turn follows its interruption, not even `done`."""
    cut = {"type": "interrupted", "reason": "client", "turn": 1}
    gateway = FakeGateway([cut])
    async with running(gateway), connect_client(gateway.url, timeout_s=5) as client:
        assert (await client.send_text("x", ignore)).metrics == {}


async def test_the_session_id_is_a_segment_of_the_path() -> None:
    """`--session` is a path segment of its own, whatever it holds, and a query stays."""
    gateway = FakeGateway()
    async with running(gateway), connect_client(gateway.url + "?token=t", session_id="a/b"):
        pass
    assert gateway.paths == ["/ws/agent/a%2Fb/?token=t"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([1013], r"closed the connection \(1013\)"),
        (["<html>"], "not an event"),
        (["[1]"], "not an event"),
        ([{"type": "tts_chunk", "audio_base64": "a"}], "not base64"),
        ([{"type": "tts_start", "encoding": "opus"}], "opus"),
    ],
)
async def test_a_gateway_that_breaks_the_protocol(script: Script, message: str) -> None:
    """What ends the session is told in one line."""
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as client:
        with pytest.raises(ClientError, match=message) as caught:
            await client.send_text("x", ignore)
    assert "\n" not in str(caught.value)


async def test_a_silent_gateway() -> None:
    """Silence is limited."""
    gateway = FakeGateway([])
    async with running(gateway), connect_client(gateway.url, timeout_s=0.05) as client:
        with pytest.raises(ClientError, match=r"silent for 0\.05 s"):
            await client.send_text("x", ignore)


async def test_connection_refused() -> None:
    """A refused connection says so, without what may be secret."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"ws://me:secret@127.0.0.1:{taken.getsockname()[1]}/ws/agent/?token=secret"
        with pytest.raises(ClientError, match="connection refused") as caught:
            async with connect_client(url):
                pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "help"),
    [
        (403, "", "HTTP 403: the path must be /ws/agent/"),
        (400, '{"type": "error", "code": "invalid-session-id"}', "session id must have 1 to 128"),
        (503, "", "HTTP 503"),
    ],
)
async def test_a_rejected_handshake(status: int, body: str, help: str) -> None:
    """A wrong path and a wrong session id have different messages."""

    def refuse(connection: ServerConnection, _: object) -> Response:
        return connection.respond(http.HTTPStatus(status), body)

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(ClientError, match=f"refused: {help}"):
            async with connect_client(f"ws://127.0.0.1:{port}/", session_id="a b"):
                pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "hello", "ws://[::1/", "ws://h:99999/"])
async def test_an_address_that_is_not_valid(url: str) -> None:
    """What is not a WebSocket URL is rejected before anything is sent."""
    with pytest.raises(ClientError, match="must begin with ws:// or wss://, got "):
        async with connect_client(url, session_id="s"):
            pass
