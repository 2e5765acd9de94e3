"""Providers and agents that misbehave: one turn fails, and nobody else notices."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hyperframe.frame import PingFrame

from app.simulator.tone_voice import ToneVoice
from bench.harness import ToneAudio, caller, take_turn
from tests.net import scripted_http1, scripted_http2
from tests.scripted import ACK, END, Socket, scripted_provider
from tests.security.gateways import (
    MAX_KEPT_BYTES,
    MAX_PULSE_S,
    MAX_RISE_BYTES,
    Watch,
    gateway_process,
)

BAD = "zanzibar"
"""What the caller types whose turn goes wrong; the simulated agent quotes it."""

BOMB_BYTES = 512 * 1024 * 1024
TURN_S = 25
SECOND = bytes(32_000)

Server = Callable[[], AbstractAsyncContextManager[dict[str, str]]]
"""Starts a server; yields the settings that point a gateway at it."""


def bomb() -> bytes:
    """Return half a megabyte that is gzip of 512: a response of nothing but words."""
    packer = gzip.compress(b"word " * (1024 * 1024 // 5), 9)
    return packer * (BOMB_BYTES // (1024 * 1024))


def agent(bad: scripted_http1.Script) -> Server:
    @asynccontextmanager
    async def server() -> AsyncIterator[dict[str, str]]:
        good = scripted_http1.whole(
            json.dumps({"output": "مرحبا بك."}).encode(), "200 OK", "Content-Type: application/json"
        )

        async def script(exchange: scripted_http1.Exchange) -> None:
            await (bad if BAD.encode() in exchange.body else good)(exchange)

        async with scripted_http1.scripted_http1(script) as served:
            # what is spoken of a bad response costs the simulator memory, which is in the tree
            yield {
                "AGENT_WEBHOOK_URL": served.url + "/",
                "SIMULATOR_VOICE": "hum",
                "MAX_RESPONSE_CHARS": "3000",
            }

    return server


async def send_a_bomb(exchange: scripted_http1.Exchange) -> None:
    await scripted_http1.whole(
        bomb(), "200 OK", "Content-Type: application/json", "Content-Encoding: gzip"
    )(exchange)


async def never_pause(exchange: scripted_http1.Exchange) -> None:
    text = "".join(chr(0x4E00 + number % 200) if number % 3 else "#" for number in range(200_000))
    line = json.dumps({"type": "item", "content": text}).encode() + b"\n"
    await exchange.send(scripted_http1.HEAD)
    for _ in range(100):
        await exchange.send(scripted_http1.chunk(line))
    await exchange.send(scripted_http1.END)


async def send_hints(exchange: scripted_http1.Exchange) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * 1000
    while True:
        await exchange.send(hint)


def speech(bad: Callable[[Socket], AsyncIterator[None]]) -> Server:
    @asynccontextmanager
    async def server() -> AsyncIterator[dict[str, str]]:
        async def script(socket: Socket) -> None:
            while True:
                payload = (await socket.request())["payload"]
                assert isinstance(payload, dict)
                if BAD in (text := str(payload["text"])):
                    async for _ in bad(socket):
                        pass
                else:
                    await socket.send(ACK, ToneVoice().synthesize(text), END)

        async with scripted_provider(script) as provider:
            yield {
                **{"HAMSA_API_KEY": "key-of-provider", "HAMSA_WS_URL": provider.url},
                **{"HAMSA_REST_URL": "http://127.0.0.1:9", "HAMSA_CONNECT_LIMIT": "50"},
                "TTS_FALLBACK": "none",
                "TTS_DEADLINE_S": "5",
            }

    return server


async def speak_for_ever(socket: Socket) -> AsyncIterator[None]:
    await socket.send(ACK)
    while True:
        await socket.send(SECOND)
        yield


async def go_on_after_the_end(socket: Socket) -> AsyncIterator[None]:
    await socket.send(ACK, SECOND * 4, END)
    while True:
        await socket.send(SECOND)
        yield


@asynccontextmanager
async def http2_of_pings() -> AsyncIterator[dict[str, str]]:
    async def script(exchange: scripted_http2.Exchange) -> None:
        await exchange.body()
        exchange.head()
        pings = PingFrame(0, opaque_data=b"12345678").serialize() * 2000
        while not exchange.socket.closed:
            exchange.socket.write(pings)
            await asyncio.sleep(0.001)

    async with scripted_http2.scripted_http2(script) as server:
        yield {
            **{"HAMSA_API_KEY": "key-of-provider", "HAMSA_WS_URL": "ws://127.0.0.1:9/"},
            **{"HAMSA_REST_URL": server.url, "HAMSA_REST_HTTP2": "prior_knowledge"},
            **{"TTS_TRANSPORT": "rest", "TTS_FALLBACK": "none", "TTS_DEADLINE_S": "3"},
        }


CASES: dict[str, tuple[Server, bool]] = {
    "agent: gzip of 512 MB": (agent(send_a_bomb), True),
    "agent: text without pauses": (agent(never_pause), True),
    "agent: informational responses without end": (agent(send_hints), True),
    "speech: audio without end": (speech(speak_for_ever), True),
    "speech: audio after the end": (speech(go_on_after_the_end), True),
    "speech: pings over HTTP/2": (http2_of_pings, False),
}
"""The server, and whether it serves others well."""


@pytest.mark.parametrize("name", CASES)
async def test_a_bad_server_costs_one_turn(name: str, tmp_path: Path) -> None:
    server, is_good_to_others = CASES[name]
    async with server() as settings, gateway_process(tmp_path, settings) as gateway:
        async with Watch(gateway).watching() as watch:

            async def be_the_victim() -> None:
                async with asyncio.timeout(TURN_S), caller(gateway.endpoint) as socket:
                    await take_turn(socket, {"type": "text", "text": BAD})

            async def be_polite() -> None:
                async with caller(gateway.endpoint) as socket:
                    for _ in range(3 if is_good_to_others else 0):
                        turn = await take_turn(socket, {"type": "text", "text": "أين شحنتي"})
                        assert set(turn.verdicts(ToneAudio())) == {"whole"}, turn.all("error")

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(be_the_victim())
                tasks.create_task(be_polite())
            kept_bytes = await watch.settled_bytes(MAX_KEPT_BYTES, timeout_s=10)
        async with caller(gateway.endpoint) as socket:
            await socket.send(json.dumps({"type": "text", "text": BAD}))
            stop_s = await gateway.stop()
        print(
            f"{name}: rise {watch.rise_bytes >> 20} MiB, kept {kept_bytes >> 20} MiB, "
            f"healthz {watch.slowest_s:.2f} s, stop {stop_s:.1f} s"
        )
        assert not watch.failures
        assert watch.rise_bytes < MAX_RISE_BYTES
        # The first response of megabytes leaves some 100 MB with the process; a second adds none.
        is_large = name == "agent: text without pauses"
        assert kept_bytes < (2 if is_large else 1) * MAX_KEPT_BYTES
        assert watch.slowest_s < MAX_PULSE_S
        assert "Traceback" not in gateway.log()
