"""A client that has stopped reading, though its connection stands."""

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect

import tests.gateway
from app.serving.process import listen
from app.simulator import Simulator
from tests.gateway import (
    Caller,
    audio_of,
    calling,
    expected_audio,
    running_gateway,
    settings_for,
)
from tests.metrics import until_scraped

SMALL_BYTES = 4096


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network buffer next to nothing of what is sent."""

    def listen_with_small_buffers(host: str, port: int) -> socket.socket:
        listener = listen(host, port)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)
        return listener

    monkeypatch.setattr(tests.gateway, "listen", listen_with_small_buffers)


async def connect_without_reading(url: str) -> ClientConnection:
    address = urlsplit(url)
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
    own.connect((address.hostname, address.port))
    own.setblocking(False)
    return await connect(url, sock=own, compression=None, max_queue=1, close_timeout=0)


async def send_often(caller: Caller, message: dict[str, str], times: int) -> None:
    for _ in range(times):
        await caller.send(message)


@pytest.mark.parametrize(
    ("message", "times"),
    [
        ({"type": "text", "text": "كلمة طويلة جدا " * 50}, 1),  # its turn waits
        ({"type": "ping", "id": "x" * 64}, 20_000),  # the reader of its messages waits
    ],
    ids=["turn", "reader"],
)
async def test_a_client_that_stops_reading_keeps_no_session_and_no_socket(
    simulator: Simulator,
    message: dict[str, str],
    times: int,
    small_buffers: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.api.connection.SEND_TIMEOUT_S", 0.3)
    settings = settings_for(simulator, max_messages_per_s=10_000)
    async with running_gateway(settings) as url:
        connection = await connect_without_reading(url)
        caller = Caller(connection)
        await until_scraped(url, lambda metrics: metrics.value("nabra_sessions") == 1)
        sending = asyncio.create_task(send_often(caller, message, times))
        await until_scraped(url, lambda metrics: metrics.value("nabra_sessions") == 0)
        await until_scraped(url, lambda metrics: metrics.sockets()["leased"] == 0)
        sending.cancel()
        connection.transport.abort()


async def test_those_who_read_nothing_are_disconnected_when_too_much_waits_for_all_together(
    simulator: Simulator, small_buffers: None
) -> None:
    settings = settings_for(simulator, max_unsent_bytes=1024 * 1024)
    long_turn = {"type": "text", "text": "كلمة طويلة جدا " * 100}
    async with running_gateway(settings) as url, calling(url) as polite:
        stalled = [await connect_without_reading(url) for _ in range(6)]
        for connection in stalled:
            await Caller(connection).send(long_turn)
        # whoever has waited longest goes: in one process the polite caller may be the first
        await until_scraped(url, lambda metrics: metrics.value("nabra_unsent_bytes") > 512 * 1024)
        await polite.send({"type": "text", "text": "سلام عليكم يا صاحبي. " * 10})
        events = await polite.until("done")
        assert audio_of(events) == expected_audio(simulator, events) != b""
        await until_scraped(
            url, lambda metrics: metrics.value("nabra_stalled_clients_disconnected_total") >= 3
        )
        await until_scraped(url, lambda metrics: metrics.value("nabra_sessions") < 5)
        await until_scraped(url, lambda metrics: metrics.value("nabra_unsent_bytes") <= 1024 * 1024)
        for connection in stalled:
            connection.transport.abort()
        await until_scraped(url, lambda metrics: metrics.value("nabra_sessions") == 1)
        await until_scraped(url, lambda metrics: metrics.value("nabra_unsent_bytes") == 0)
