"""HTTP/2: servers that keep the connection busy with what carries nothing."""

from contextlib import aclosing

import httpx
import pytest
from hyperframe.frame import DataFrame, Frame, PingFrame, SettingsFrame, WindowUpdateFrame

from app.net.client import raw_chunks
from tests.net.clients import ask, body_of, client_of, post
from tests.net.scripted_http2 import Exchange, scripted_http2
from tests.steps import longest_step

FRAMES = 20_000


def flood_of(kind: str, stream_id: int) -> bytes:
    frames: dict[str, Frame] = {
        "ping": PingFrame(0, opaque_data=b"12345678"),
        "settings": SettingsFrame(0),
        "window": WindowUpdateFrame(stream_id, window_increment=1),
        "data": DataFrame(stream_id),
    }
    return frames[kind].serialize()


@pytest.mark.parametrize("kind", ["ping", "settings", "window", "data"])
async def test_a_flood_closes_the_connection_and_never_holds_the_loop(kind: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head()
        exchange.socket.write(flood_of(kind, exchange.id) * FRAMES)
        await exchange.socket.server.until(lambda: exchange.socket.closed)

    async with scripted_http2(script) as server, client_of(server) as client:
        async with longest_step() as steps:
            response = await post(client, server.url)
            with pytest.raises(httpx.RemoteProtocolError, match="ControlFrameFloodError"):
                await body_of(response)
        assert steps.longest_s < 1
        await server.until(lambda: not server.open_count)


async def test_many_frames_of_audio_are_no_flood_and_arrive_whole() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head()
        piece = DataFrame(exchange.id, data=b"x" * 32)
        exchange.socket.write(piece.serialize() * FRAMES)
        exchange.socket.write(DataFrame(exchange.id, flags=["END_STREAM"]).serialize())

    async with scripted_http2(script) as server, client_of(server) as client:
        async with longest_step() as steps:
            assert await ask(client, server.url) == b"x" * 32 * FRAMES
        assert steps.longest_s < 1


async def test_what_arrives_before_the_connection_ends_is_passed_on() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head()
        exchange.socket.write(DataFrame(exchange.id, data=b"x" * 1000).serialize() * 100)
        assert exchange.socket.transport is not None
        exchange.socket.transport.close()

    async with scripted_http2(script) as server, client_of(server) as client:
        response, received = await post(client, server.url), bytearray()
        with pytest.raises(httpx.ReadError, match="connection lost"):
            await read_into(received, response)
        await response.aclose()
        assert received == b"x" * 100_000


async def read_into(received: bytearray, response: httpx.Response) -> None:
    async with aclosing(raw_chunks(response)) as chunks:
        async for chunk in chunks:
            received += chunk


async def test_a_flood_of_informational_responses_is_an_error() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        for _ in range(11):
            exchange.head(103)
        await exchange.until_reset()

    async with scripted_http2(script) as server, client_of(server) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="informational"):
            await post(client, server.url)


async def test_a_large_head_is_an_error() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        exchange.head(x_long="x" * 40_000)
        await exchange.socket.server.until(lambda: exchange.socket.closed)

    async with scripted_http2(script) as server, client_of(server) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="Denial"):
            await post(client, server.url)
