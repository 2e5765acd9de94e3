"""A second client protocol is a translator, and nothing else: the same connection serves it."""

import asyncio

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.api.usage import SessionLimits
from tests.api.clients.line_protocol import line_gateway
from tests.pipeline.fakes import FakeAgent, FakeTranscriber
from tests.pipeline.sessions import FIRST, SECOND, audio_of_sentences, components
from tests.waiting import until

AUDIO = b"\x01\x00" * 1600 + b"\x02\x00" * 1600
"""The audio of one sentence."""


async def received(socket: ClientConnection, last: str) -> tuple[list[str], bytes]:
    """Receive up to a line; return the lines, and the audio between them."""
    lines: list[str] = []
    audio = b""
    while last not in lines:
        frame = await socket.recv()
        if isinstance(frame, bytes):
            assert len(frame) <= 640
            audio += frame
        else:
            lines.append(frame)
    return lines, audio


async def test_a_typed_turn_is_heard() -> None:
    agent = FakeAgent([f"{FIRST} ", SECOND])
    async with (
        line_gateway(components(agent, audio_of_sentences(2))) as url,
        connect(url, proxy=None) as socket,
    ):
        await socket.send("NOTE my order is 7")
        await socket.send("SAY where is it?")
        lines, audio = await received(socket, "DONE 1")
    assert lines == ["BEGIN 0", "END 0", "BEGIN 1", "END 1", "DONE 1"]
    assert audio == AUDIO * 2
    assert [request.text for request in agent.requests] == ["my order is 7\nwhere is it?"]


async def test_a_spoken_turn_is_heard() -> None:
    transcriber = FakeTranscriber()
    shared = components(FakeAgent([FIRST]), audio_of_sentences(1), transcriber)
    async with line_gateway(shared) as url, connect(url, proxy=None) as socket:
        await socket.send(AUDIO[:1001])
        await socket.send(AUDIO[1001:])
        await socket.send("COMMIT")
        _, audio = await received(socket, "DONE 1")
    assert audio == AUDIO
    assert [utterance.pcm for utterance in transcriber.utterances] == [AUDIO]


async def test_commands_refusals_and_replies_keep_their_order() -> None:
    agent = FakeAgent([asyncio.Event()])
    async with (
        line_gateway(components(agent, audio_of_sentences(0))) as url,
        connect(url, proxy=None) as socket,
    ):
        for line in ("DANCE", "SAY ", "LANGUAGE en", "SAY hello", "STOP", "ECHO bye"):
            await socket.send(line)
        lines, _ = await received(socket, "ECHO bye")
    assert lines == [
        "REFUSED unknown-message-type",
        "REFUSED empty-text",
        "LANGUAGE en",
        "STOPPED 1",
        "ECHO bye",
    ]


async def test_its_connections_are_bounded_like_all_others() -> None:
    shared = components(FakeAgent([]), audio_of_sentences(0))
    async with line_gateway(shared, SessionLimits(idle_timeout_s=0.05)) as url:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(url, proxy=None, origin="https://elsewhere.example")  # type: ignore[arg-type]
        assert refusal.value.response.status_code == 403
        async with connect(url, proxy=None) as socket:
            assert await socket.recv() == "REFUSED session-expired"
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (1000, "session-expired")


async def test_a_client_that_leaves_takes_its_turn_with_it() -> None:
    agent, transport = FakeAgent([f"{FIRST} ", asyncio.Event()]), audio_of_sentences(1)
    async with line_gateway(components(agent, transport)) as url:
        async with connect(url, proxy=None) as socket:
            await socket.send("SAY hello")
            await received(socket, "BEGIN 0")
        await until(lambda: agent.open == transport.open == 0, state=agent)
