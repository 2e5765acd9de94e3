"""A client that takes nothing any more, though its connection stands."""

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

import tests.gateway
from app.serving.process import listen
from app.simulator import Simulator, SimulatorConfig
from tests.gateway import Caller, running_gateway, settings_for

SMALL_BYTES = 4096


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network hold next to nothing of what is sent."""

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


async def gauge(url: str, name: str) -> float:
    address = f"{url.replace('ws://', 'http://').removesuffix('/ws/agent/')}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(address)).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rsplit(" ", 1)[1])


async def until(url: str, name: str, right: Callable[[float], bool]) -> None:
    while not right(await gauge(url, name)):
        pass


@pytest.mark.parametrize(
    ("message", "times"),
    [
        ({"type": "text", "text": "كلمة طويلة جدا " * 50}, 1),  # its turn waits
        ({"type": "ping", "id": "x" * 1_000_000}, 2),  # what reads its messages waits
    ],
    ids=["turn", "reader"],
)
async def test_a_client_that_takes_nothing_keeps_no_session_and_no_socket(
    message: dict[str, str], times: int, small_buffers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.endpoint.SEND_TIMEOUT_S", 0.3)
    leased = 'nabra_provider_sockets{state="leased"}'
    config = SimulatorConfig(profile="instant", voice="hum")
    async with Simulator(config) as simulator, running_gateway(settings_for(simulator)) as url:
        connection = await connect_without_reading(url)
        caller = Caller(connection)
        await until(url, "nabra_sessions", lambda count: count == 1)
        for _ in range(times):
            await caller.send(message)
        await until(url, "nabra_sessions", lambda count: count == 0)
        await until(url, leased, lambda count: count == 0)
        connection.transport.abort()
