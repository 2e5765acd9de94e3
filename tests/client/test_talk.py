"""The client part of `nabra talk`, against a gateway that plays canned events on loopback."""

import asyncio
import base64
import http
import json
import socket
import sys
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from io import StringIO

import pytest
from rich.console import Console
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Response

from app.audio import encode_mulaw
from app.client.client import ClientError, Event, Reply, connect_client
from app.client.console import Screen, converse

PCM = array("h", [0, 1000, -1000, 2000] * 400).tobytes()
SESSION = {"type": "session", "session_id": "s", "protocol": 1, "seq": 0}
SENTENCE = {
    "index": 0, "chars": 12, "transport": "websocket", "attempts": 2, "connection": "reused",
    "ttfb_ms": 310.4, "audio_ms": 1200.0, "faults": ["incomplete-audio", "incomplete-audio"],
}  # fmt: skip

Script = Sequence[dict[str, object] | bytes | str | int]
"""What the gateway answers: events, frames as they stand, or a close code."""


def chunk(audio: bytes) -> dict[str, object]:
    return {"type": "tts_chunk", "audio_base64": base64.b64encode(audio).decode()}


def turn(number: int = 1) -> list[dict[str, object]]:
    events: list[dict[str, object]] = [
        {"type": "status", "message": "جاري التفكير…", "code": "thinking"},
        {"type": "transcription", "text": "مرحبا"},
        {"type": "token", "content": "أهلا "},
        {"type": "token", "content": "وسهلا."},
        {"type": "agent_response", "text": "أهلا وسهلا."},
        {"type": "tts_start", "sample_rate": 16000, "encoding": "pcm_s16le", "channels": 1},
        {"type": "sentence", "index": 0, "text": "أهلا وسهلا."},
        chunk(PCM[:1600]),
        chunk(PCM[1600:]),
        {"type": "done", "metrics": {"stt_ms": 120.6, "sentences": [SENTENCE]}},
    ]
    return [{**event, "turn": number} for event in events]


class FakeGateway:
    """Answer each message with the next script, and remember what came."""

    def __init__(self, *scripts: Script, greeting: Script = (SESSION,)) -> None:
        self.scripts = list(scripts)
        self.greeting = greeting
        self.received: list[dict[str, object]] = []
        self.paths: list[str] = []
        self.url = ""

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request
        self.paths.append(connection.request.path)
        await self._play(connection, self.greeting)
        async for frame in connection:
            self.received.append(json.loads(frame))
            await self._play(connection, self.scripts.pop(0))

    async def _play(self, connection: ServerConnection, script: Script) -> None:
        for step in script:
            if isinstance(step, int):
                await connection.close(step)
            else:
                await connection.send(json.dumps(step) if isinstance(step, dict) else step)


@asynccontextmanager
async def running(gateway: FakeGateway) -> AsyncIterator[FakeGateway]:
    async with serve(gateway, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        gateway.url = f"ws://127.0.0.1:{port}/ws/agent/"
        yield gateway


def ignore(_event: Event) -> None:
    pass


def screen(width: int = 120) -> tuple[Screen, Callable[[], str]]:
    buffer = StringIO()
    return Screen(Console(file=buffer, width=width)), buffer.getvalue


async def test_typed_turn() -> None:
    """A typed turn brings text, audio, metrics and this side's time to first audio."""
    async with running(FakeGateway(turn())) as gateway, connect_client(gateway.url) as session:
        reply = await session.send_text("مرحبا", ignore)
    assert gateway.received == [{"type": "text", "text": "مرحبا", "id": "1"}]
    assert reply.text == "أهلا وسهلا."
    assert bytes(reply.audio) == PCM
    assert reply.metrics["stt_ms"] == 120.6
    assert reply.first_audio_ms is not None
    assert reply.errors == []


async def test_spoken_turn_uses_the_original_message() -> None:
    """A recording travels as one `audio_base64`."""
    async with running(FakeGateway(turn())) as gateway, connect_client(gateway.url) as session:
        await session.send_recording(b"RIFF...", ignore)
    assert gateway.received == [{"audio_base64": "UklGRi4uLg==", "id": "1"}]


async def test_reply_is_saved_as_wav() -> None:
    """PCM16 keeps its samples; the header says its rate."""
    script = [{"type": "tts_start", "sample_rate": 8000}, chunk(PCM), {"type": "done"}]
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as session:
        wave = (await session.send_text("x", ignore)).wav()
    assert wave[:4] == b"RIFF"
    assert int.from_bytes(wave[24:28], "little") == 8000
    assert wave[44:] == PCM


async def test_mulaw_is_saved_as_pcm() -> None:
    """Mu-law, here in a binary frame, becomes PCM16."""
    script = [
        {"type": "tts_start", "sample_rate": 8000, "encoding": "mulaw"},
        encode_mulaw(PCM),
        {"type": "done"},
    ]
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as session:
        wave = (await session.send_text("x", ignore)).wav()
    assert int.from_bytes(wave[20:22], "little") == 1
    assert int.from_bytes(wave[34:36], "little") == 16
    assert len(wave) == 44 + len(PCM)


async def test_unknown_events_are_passed_by() -> None:
    """Events and fields of a later protocol do no harm."""
    script = [{"type": "hologram", "depth": 3}, {"no": "type"}, *turn()]
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as session:
        assert (await session.send_text("x", ignore)).text == "أهلا وسهلا."


async def test_refused_message_ends_the_turn() -> None:
    """An error that answers our message and names no turn is all that comes."""
    refusal = {"type": "error", "code": "empty-text", "message": "…", "in_reply_to": "1"}
    async with running(FakeGateway([refusal])) as gateway, connect_client(gateway.url) as session:
        reply = await session.send_text("x", ignore)
    assert [error["code"] for error in reply.errors] == ["empty-text"]


async def test_failed_turn_goes_on_to_done() -> None:
    """An error inside a turn is followed by the turn's end, which belongs to no later turn."""
    failure = {"type": "error", "code": "no-speech", "turn": 1, "in_reply_to": "1"}
    first = [failure, {"type": "done", "turn": 1, "metrics": {"total_ms": 5}}]
    late = {"type": "token", "content": "late", "turn": 1}
    seen: list[Event] = []
    gateway = FakeGateway(first, [late, *turn(2)])
    async with running(gateway), connect_client(gateway.url) as session:
        failed = await session.send_text("x", ignore)
        await session.send_text("y", seen.append)
    assert len(failed.errors) == 1
    assert failed.metrics == {"total_ms": 5}
    assert seen[-1]["type"] == "done"
    assert {event["turn"] for event in seen if "turn" in event} == {2}


async def test_interrupted_turn_is_over() -> None:
    """Nothing of a turn follows its interruption, not even `done`."""
    cut = {"type": "interrupted", "reason": "client", "turn": 1}
    gateway = FakeGateway([cut])
    async with running(gateway), connect_client(gateway.url, timeout_s=5) as session:
        assert (await session.send_text("x", ignore)).metrics == {}


async def test_session_name_stands_in_the_path() -> None:
    """`--session` is a path segment of its own, whatever it holds, and a query stays."""
    gateway = FakeGateway()
    async with running(gateway), connect_client(gateway.url + "?token=t", session_id="a/b"):
        pass
    assert gateway.paths == ["/ws/agent/a%2Fb/?token=t"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([1013], r"closed the connection \(1013\)"),
        (["<html>"], "no event"),
        (["[1]"], "no event"),
        ([{"type": "tts_chunk", "audio_base64": "a"}], "no base64"),
        ([{"type": "tts_start", "encoding": "opus"}], "opus"),
    ],
)
async def test_broken_gateway(script: Script, message: str) -> None:
    """What makes going on impossible is told in one line."""
    async with running(FakeGateway(script)) as gateway, connect_client(gateway.url) as session:
        with pytest.raises(ClientError, match=message) as caught:
            await session.send_text("x", ignore)
    assert "\n" not in str(caught.value)


async def test_silent_gateway() -> None:
    """Silence is bounded."""
    gateway = FakeGateway([])
    async with running(gateway), connect_client(gateway.url, timeout_s=0.05) as session:
        with pytest.raises(ClientError, match=r"silent for 0\.05 s"):
            await session.send_text("x", ignore)


async def test_nothing_listens() -> None:
    """A refused connection says so, and keeps what may be a secret to itself."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"ws://me:secret@127.0.0.1:{taken.getsockname()[1]}/ws/agent/?token=secret"
        with pytest.raises(ClientError, match="nothing listens there") as caught:
            async with connect_client(url):
                pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "help"),
    [
        (403, "", "HTTP 403; the path of a gateway is /ws/agent/"),
        (400, '{"type": "error", "code": "invalid-session-id"}', "a session's name has 1 to 128"),
        (503, "", "HTTP 503"),
    ],
)
async def test_refused_handshake(status: int, body: str, help: str) -> None:
    """A wrong path and a wrong name of a session are told from each other."""

    def refuse(connection: ServerConnection, _: object) -> Response:
        return connection.respond(http.HTTPStatus(status), body)

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(ClientError, match=f"refused: {help}"):
            async with connect_client(f"ws://127.0.0.1:{port}/", session_id="a b"):
                pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "hello", "ws://[::1/", "ws://h:99999/"])
async def test_wrong_address(url: str) -> None:
    """What is no WebSocket address is refused before anything is sent."""
    with pytest.raises(ClientError, match="not a WebSocket address"):
        async with connect_client(url, session_id="s"):
            pass


def test_screen_streams_the_answer_once() -> None:
    """Tokens are printed as they come; the whole answer is not printed again."""
    view, printed = screen()
    for event in turn():
        view.show(event)
    view.note("end")
    assert printed() == "You: مرحبا\nAgent: أهلا وسهلا.\nend\n"


def test_screen_prints_an_answer_without_tokens() -> None:
    """A gateway that sends no tokens is understood too."""
    view, printed = screen()
    view.show({"type": "agent_response", "text": "نعم."})
    view.show({"type": "interrupted", "reason": "client"})
    assert printed() == "Agent: نعم.\n(interrupted)\n"


def test_screen_prints_markup_as_text() -> None:
    """What people and agents say is never taken for formatting."""
    view, printed = screen()
    view.show({"type": "token", "content": "[red]x[/nope]"})
    view.show({"type": "error", "code": "no-speech", "message": "[bold]"})
    assert printed() == "Agent: [red]x[/nope]\nerror no-speech: [bold]\n"


async def test_summary_shows_latencies() -> None:
    """The tables hold the turn's milliseconds and a row for each sentence."""
    async with running(FakeGateway(turn())) as gateway, connect_client(gateway.url) as session:
        reply = await session.send_text("x", ignore)
    view, printed = screen()
    view.summary(reply)
    rows = printed().splitlines()
    assert any("speech to text" in row and "121" in row for row in rows)
    assert any("whole turn" in row and "–" in row for row in rows)
    assert any("length of the reply" in row and "100" in row for row in rows)
    sentence = next(row for row in rows if "2 × incomplete-audio" in row)
    assert sentence.split() == [
        "0", "12", "websocket", "2", "reused", "310", "1,200", "2", "×", "incomplete-audio",
    ]  # fmt: skip


def test_summary_fits_a_narrow_terminal() -> None:
    """Eighty columns hold every word of the tables."""
    view, printed = screen(width=80)
    view.summary(Reply(metrics={"sentences": [SENTENCE]}))
    assert "…" not in printed()
    assert "connection" in printed()
    assert "websocket" in printed()


def test_refused_turn_has_no_summary() -> None:
    """A turn that never began has nothing to measure."""
    view, printed = screen()
    view.summary(Reply(errors=[{"type": "error"}]))
    assert printed() == ""


async def test_replies_are_numbered(tmp_path, capsys) -> None:
    """A recording comes first, then the texts; each reply has a file of its own."""
    async with running(FakeGateway(turn(1), turn(2))) as gateway:
        clean = await converse(
            gateway.url,
            session_id=None,
            timeout_s=5,
            recording=b"x",
            texts=["شكرا"],
            out=tmp_path / "reply.wav",
        )
    assert clean
    assert [set(message) for message in gateway.received] == [
        {"audio_base64", "id"},
        {"type", "text", "id"},
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reply-2.wav", "reply.wav"]
    assert "You: شكرا" in capsys.readouterr().out


async def test_unwritable_file(tmp_path, capsys) -> None:
    """A file that cannot be written is one line, after the turn was shown."""
    async with running(FakeGateway(turn())) as gateway:
        with pytest.raises(ClientError, match="cannot write"):
            await converse(
                gateway.url,
                session_id=None,
                timeout_s=5,
                recording=None,
                texts=["x"],
                out=tmp_path / "absent" / "reply.wav",
            )
    assert "أهلا" in capsys.readouterr().out


async def test_errors_are_told(capsys) -> None:
    """A turn with an error makes the conversation unclean."""
    script = [{"type": "error", "code": "agent-empty", "message": "لا جواب", "turn": 1}, *turn()]
    async with running(FakeGateway(script)) as gateway:
        clean = await converse(
            gateway.url, session_id=None, timeout_s=5, recording=None, texts=["x"], out=None
        )
    assert not clean
    assert "error agent-empty: لا جواب" in capsys.readouterr().out


async def test_typed_lines_are_turns(tmp_path, monkeypatch, capsys) -> None:
    """Each line is a turn, empty ones are none, and the end of input ends the conversation."""
    (tmp_path / "lines").write_text("مرحبا\n\n  \nشكرا", encoding="utf-8")
    gateway = FakeGateway(turn(1), turn(2))
    async with running(gateway):
        with (tmp_path / "lines").open() as lines:
            monkeypatch.setattr(sys, "stdin", lines)
            assert await converse(
                gateway.url, session_id=None, timeout_s=5, recording=None, texts=[], out=None
            )
    assert [message["text"] for message in gateway.received] == ["مرحبا", "شكرا"]
    assert capsys.readouterr().out.count("Agent: ") == 2
