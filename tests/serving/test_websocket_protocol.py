"""WebSocket clients that send too much, too fast, or never to the end."""

import asyncio
import gc
from collections.abc import Callable

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame

from app.serving import parsing_turns
from app.serving.websocket_protocol import BoundedWebSocketProtocol
from tests.serving.servers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    RawClient,
    close_code,
    frame,
    raw_client,
    serving,
)


async def echoed(client: RawClient, payload: bytes) -> None:
    await client.send(frame(BINARY, payload))
    await client.reader.readuntil(payload)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_536, 1_000_000])
async def test_messages_of_all_sizes_come_through(size: int) -> None:
    async with (
        serving() as server,
        connect(f"ws://127.0.0.1:{server.port}/ws", compression=None, proxy=None) as socket,
    ):
        for payload in (b"\x07" * size, "ن" * (size // 2)):
            await socket.send(payload)
            data = payload if isinstance(payload, bytes) else payload.encode()
            assert await socket.recv() == data
        assert server.admission.counts() == {"pending": 0, "established": 1}


async def test_many_messages_at_once_come_in_order_and_none_is_lost() -> None:
    async with serving(messages_per_s=10_000) as server, raw_client(server) as client:
        await client.upgrade()
        sizes = [number % 120 for number in range(5000)]
        await client.send(b"".join(frame(BINARY, bytes(size)) for size in sizes))
        while len(server.received) < len(sizes):
            await client.reader.read(65_536)
        assert server.received == sizes


async def test_parsing_in_the_smallest_steps_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parsing_turns, "STEP_S", 1e-9)
    async with serving() as server, raw_client(server) as client:
        await client.upgrade()
        for size in (500_000, 10, 900_000):
            await client.send(frame(BINARY, bytes(size)) + frame(BINARY, b"next"))
        while len(server.received) < 6:
            assert await client.reader.read(65_536)
        assert server.received == [500_000, 4, 10, 4, 900_000, 4]


async def test_a_handshake_that_is_not_accepted_in_time_ends() -> None:
    async with serving(handshake_timeout_s=0.05) as server, raw_client(server) as client:
        server.accept.clear()
        await client.send(UPGRADE)
        assert await client.closed() == b""
        assert server.admission.refused == {"handshake-timeout": 1}
        server.accept.set()


async def test_a_session_has_no_deadline_while_it_is_silent() -> None:
    async with serving(handshake_timeout_s=0.05, message_timeout_s=0.05) as server:
        async with raw_client(server) as client:
            await client.upgrade()
            await echoed(client, b"first")
            async with raw_client(server) as witness:  # one that is silent too long, meanwhile
                assert await witness.closed() == b""
            await echoed(client, b"second")


@pytest.mark.parametrize(
    "beginning",
    [frame(TEXT, b"{", fin=False), frame(BINARY, bytes(5000))[:4000], frame(TEXT, b"x" * 50)[:3]],
    ids=["a fragment", "half a frame", "half a head"],
)
async def test_a_message_that_is_never_complete_ends_the_connection(beginning: bytes) -> None:
    async with serving(message_timeout_s=0.05) as server, raw_client(server) as client:
        await client.upgrade()
        await client.send(beginning)
        assert close_code(await client.closed()) == 1008
        assert server.admission.refused == {"message-timeout": 1}


async def test_a_slow_message_that_follows_others_has_a_time_of_its_own() -> None:
    async with serving(message_timeout_s=0.3) as server, raw_client(server) as client:
        await client.upgrade()
        whole = frame(BINARY, b"message")
        await client.send(whole[:3])
        for _ in range(12):  # 0.6 s, each message within its time
            await asyncio.sleep(0.05)
            await client.send(whole[3:] + whole[:3])
            await client.reader.readuntil(b"message")
        assert not server.admission.refused


async def test_a_message_of_too_many_frames_ends_the_connection() -> None:
    async with serving(max_frames_per_message=100) as server, raw_client(server) as client:
        await client.upgrade()
        await client.send(frame(TEXT, b"{", fin=False) + frame(CONTINUATION, fin=False) * 200)
        assert close_code(await client.closed()) == 1008
        assert server.admission.refused == {"too-many-frames": 1}


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_pings_ends_the_connection(opcode: int) -> None:
    async with serving(pings_per_s=5) as server, raw_client(server) as client:
        await client.upgrade()
        await client.send(frame(opcode) * 10_000)
        assert close_code(await client.closed()) == 1008
        assert server.admission.refused == {"too-many-pings": 1}


async def test_a_ping_now_and_then_is_answered() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.upgrade()
        for _ in range(10):
            await client.send(frame(PING, b"here"))
            await client.reader.readuntil(b"here")


async def test_messages_beyond_the_rate_wait_and_are_not_lost() -> None:
    async with serving(messages_per_s=100) as server, raw_client(server) as client:
        await client.upgrade()
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        await client.send(frame(BINARY, b"x") * 230)
        while len(server.received) < 230:
            await asyncio.sleep(0.005)
        assert loop.time() - began_at > 0.25  # 200 at once, 30 at 100 a second
        assert not server.admission.refused


async def test_the_largest_message_goes_when_all_together_hold_too_much() -> None:
    async with serving(max_buffered_bytes=300_000) as server:
        async with raw_client(server) as polite, raw_client(server) as greedy:
            await polite.upgrade()
            await greedy.upgrade()
            small = frame(BINARY, b"small" * 1000)
            await polite.send(small[:-1])
            await greedy.send(
                frame(BINARY, bytes(900_000))[:300_500]
            )  # a close that leaves more is lost
            assert close_code(await greedy.closed()) == 1013
            await polite.send(small[-1:])
            await polite.reader.readuntil(b"small" * 1000)
        assert server.admission.refused == {"too-much-buffered": 1}


async def test_messages_that_are_not_taken_count_too() -> None:
    async with serving(max_buffered_bytes=300_000, messages_per_s=0.01) as server:
        async with raw_client(server) as polite, raw_client(server) as greedy:
            for client, size in ((polite, 120_000), (greedy, 200_000)):
                await client.upgrade()
                await echoed(client, b"the first is taken at once")
                await client.send(frame(BINARY, bytes(size)))
            assert close_code(await greedy.closed()) == 1013
            await polite.send(frame(PING, b"still here"))
            assert server.admission.counts()["established"] == 1
        assert server.admission.refused == {"too-much-buffered": 1}


async def test_what_arrives_while_a_connection_waits_for_its_turn_stays_with_the_sender(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as server, raw_client(server) as client:
        await client.upgrade()
        monkeypatch.setattr(parsing_turns, "STEP_S", 0)
        waiting: list[Callable[[], None]] = []
        monkeypatch.setattr(server.admission.turns, "wait", waiting.append)
        await client.send(frame(BINARY, b"x"))
        while not waiting:
            await asyncio.sleep(0)
        waiting.pop()()
        await client.reader.readuntil(b"x")  # and now nothing waits to be parsed
        (connection,) = server.admission._established
        assert isinstance(connection, BoundedWebSocketProtocol)
        client.writer.write(frame(BINARY, bytes(1_000_000)) * 16)
        while not connection.buffered_bytes:
            await asyncio.sleep(0)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert connection.buffered_bytes < 1024 * 1024
        assert server.admission._buffered_bytes == connection.buffered_bytes


async def test_a_client_that_reads_nothing_is_aborted_after_a_close() -> None:
    async with serving(close_timeout_s=0.05, pings_per_s=1000, messages_per_s=10_000) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(UPGRADE)
        while server.admission.counts()["established"] == 0:
            await asyncio.sleep(0.005)
        for _ in range(40):  # the echoes fill all buffers on the way, as nobody reads them
            writer.write(frame(BINARY, bytes(500_000)))
        while len(server.received) < 2:
            await asyncio.sleep(0.005)
        writer.write_eof() if writer.can_write_eof() else None
        assert reader is not None
        for connection in list(server.admission._established):
            connection.overflow()
        while server.admission.counts()["established"]:
            await asyncio.sleep(0.005)
        writer.transport.abort()


async def test_a_stop_while_a_client_closes_is_no_error() -> None:
    """Until it has read what is left, its connection is there, though its close has come."""
    async with serving() as server, raw_client(server) as client:
        await client.upgrade()
        (connection,) = server.admission._established
        assert isinstance(connection, BoundedWebSocketProtocol)
        connection.data_received(frame(CLOSE, (1000).to_bytes(2, "big")))
        connection.shutdown()
        assert close_code(await client.closed()) == 1000


async def test_a_message_that_was_taken_is_not_kept() -> None:
    async with serving() as server, raw_client(server) as client:
        await client.upgrade()
        await client.send(frame(TEXT, b"x" * 500_000, fin=False) + frame(CONTINUATION, b"y"))
        await client.reader.readexactly(10 + 500_001)
        await client.send(frame(BINARY, b"z" * 500_000))
        await client.reader.readexactly(10 + 500_000)
        gc.collect()
        frames = [each for each in gc.get_objects() if isinstance(each, Frame)]
        assert sum(len(each.data) for each in frames) < 1000


async def test_others_have_their_turn_while_one_floods() -> None:
    async with serving(messages_per_s=1_000_000, pings_per_s=1_000_000) as server:
        async with raw_client(server) as flood, raw_client(server) as polite:
            await flood.upgrade()
            await polite.upgrade()
            flooding = asyncio.create_task(flood.send(frame(PING) * 100_000))
            for number in range(20):
                await echoed(polite, b"hello %d" % number)
            assert server.received
            flooding.cancel()
