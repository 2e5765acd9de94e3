"""Providers and agents that misbehave: one turn fails, and nobody else notices."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from hyperframe.frame import PingFrame

from app.simulator.tone_voice import ToneVoice
from bench.harness import ToneAudio, caller, take_turn
from tests.net import scripted_http1, scripted_http2
from tests.scripted import ACK, END, Socket, scripted_provider
from tests.security.gateways import (
    MAX_KEPT_BYTES,
    MAX_PULSE_S,
    MAX_RISE_BYTES,
    GatewayProcess,
    Watch,
    gateway_process,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("bad servers")]

BOMB_BYTES = 512 * 1024 * 1024
TURN_S = 25
SECOND = bytes(32_000)


def bomb() -> bytes:
    """Return half a megabyte that is gzip of 512: a response of nothing but words."""
    packer = gzip.compress(b"word " * (1024 * 1024 // 5), 9)
    return packer * (BOMB_BYTES // (1024 * 1024))


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


BAD_RESPONSES = {
    "gzip-bomb": send_a_bomb,
    "no-pauses": never_pause,
    "hints": send_hints,
}
BAD_SPEECH = {"endless-audio": speak_for_ever, "audio-after-the-end": go_on_after_the_end}


@asynccontextmanager
async def bad_agent() -> AsyncIterator[dict[str, str]]:
    """Serve an agent that is good but to those who type a name of `BAD_RESPONSES`."""
    good = scripted_http1.whole(
        json.dumps({"output": "مرحبا بك."}).encode(), "200 OK", "Content-Type: application/json"
    )

    async def script(exchange: scripted_http1.Exchange) -> None:
        wanted = (bad for name, bad in BAD_RESPONSES.items() if name.encode() in exchange.body)
        await next(wanted, good)(exchange)

    async with scripted_http1.scripted_http1(script) as served:
        # what is spoken of a bad response costs the simulator memory, which is in the tree
        yield {
            "AGENT_WEBHOOK_URL": served.url + "/",
            "SIMULATOR_VOICE": "hum",
            "MAX_RESPONSE_CHARS": "3000",
        }


@asynccontextmanager
async def bad_speech() -> AsyncIterator[dict[str, str]]:
    """Serve speech that is good but for texts with a name of `BAD_SPEECH`; the agent quotes."""

    async def script(socket: Socket) -> None:
        while True:
            payload = (await socket.request())["payload"]
            assert isinstance(payload, dict)
            text = str(payload["text"])
            bad = next((bad for name, bad in BAD_SPEECH.items() if name in text), None)
            if bad is None:
                await socket.send(ACK, ToneVoice().synthesize(text), END)
                continue
            async for _ in bad(socket):
                pass

    async with scripted_provider(script) as provider:
        yield {
            **{"HAMSA_API_KEY": "key-of-provider", "HAMSA_WS_URL": provider.url},
            **{"HAMSA_REST_URL": "http://127.0.0.1:9", "HAMSA_CONNECT_LIMIT": "50"},
            "TTS_FALLBACK": "none",
            "TTS_DEADLINE_S": "5",
        }


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


@dataclass(frozen=True)
class Case:
    server: Callable[[], AbstractAsyncContextManager[dict[str, str]]]
    typed: str
    """What the caller types whose turn goes wrong."""
    is_good_to_others: bool = True


CASES = {
    "agent: gzip of 512 MB": Case(bad_agent, "gzip-bomb"),
    "agent: text without pauses": Case(bad_agent, "no-pauses"),
    "agent: informational responses without end": Case(bad_agent, "hints"),
    "speech: audio without end": Case(bad_speech, "endless-audio"),
    "speech: audio after the end": Case(bad_speech, "audio-after-the-end"),
    "speech: pings over HTTP/2": Case(http2_of_pings, "مرحبا", is_good_to_others=False),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Callable[[Case], Awaitable[GatewayProcess]]]:
    """Run a gateway for each server, from the first case that needs it."""
    running: dict[object, GatewayProcess] = {}
    async with AsyncExitStack() as stack:

        async def gateway_of(case: Case) -> GatewayProcess:
            if case.server not in running:
                settings = await stack.enter_async_context(case.server())
                running[case.server] = await stack.enter_async_context(
                    gateway_process(tmp_path_factory.mktemp("gateway"), settings)
                )
            return running[case.server]

        yield gateway_of


async def talk_to_it(gateway: GatewayProcess, text: str) -> None:
    async with asyncio.timeout(TURN_S), caller(gateway.endpoint) as socket:
        await take_turn(socket, {"type": "text", "text": text})


async def talk_beside_it(gateway: GatewayProcess) -> None:
    async with caller(gateway.endpoint) as socket:
        for _ in range(3):
            turn = await take_turn(socket, {"type": "text", "text": "أين شحنتي"})
            assert set(turn.verdicts(ToneAudio())) == {"whole"}, turn.all("error")


@pytest.mark.parametrize("name", CASES)
async def test_a_bad_server_costs_one_turn(
    name: str, gateways: Callable[[Case], Awaitable[GatewayProcess]]
) -> None:
    case = CASES[name]
    gateway = await gateways(case)
    async with Watch(gateway).watching() as watch:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(talk_to_it(gateway, case.typed))
            if case.is_good_to_others:
                tasks.create_task(talk_beside_it(gateway))
        kept_bytes = await watch.settled_bytes(MAX_KEPT_BYTES, timeout_s=10)
    print(
        f"{name}: rise {watch.rise_bytes >> 20} MiB, kept {kept_bytes >> 20} MiB, "
        f"healthz {watch.slowest_s:.2f} s"
    )
    assert not watch.failures
    assert watch.rise_bytes < MAX_RISE_BYTES
    assert kept_bytes < MAX_KEPT_BYTES
    assert watch.slowest_s < MAX_PULSE_S
    assert "Traceback" not in gateway.log()


@pytest.mark.parametrize("server", dict.fromkeys(case.server for case in CASES.values()))
async def test_it_stops_within_its_grace_in_the_midst_of_bad_turns(
    server: object, gateways: Callable[[Case], Awaitable[GatewayProcess]]
) -> None:
    cases = [case for case in CASES.values() if case.server is server]
    gateway = await gateways(cases[0])
    async with AsyncExitStack() as stack:
        for case in cases:
            socket = await stack.enter_async_context(caller(gateway.endpoint))
            await socket.send(json.dumps({"type": "text", "text": case.typed}))
        await gateway.stop()  # raises where it takes too long
    assert "Traceback" not in gateway.log()
