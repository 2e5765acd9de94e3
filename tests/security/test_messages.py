"""3,000 mutated messages: each is answered, none is a fault of ours."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app import errors
from bench.attackers import TEXT, Stranger, frame
from tests.security.gateways import GatewayProcess, gateway_process

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("messages")]

MESSAGES = 3000
CONNECTIONS = 6

SEEDS: tuple[dict[str, Any], ...] = (
    {"type": "configure", "voice": {"speaker": "Majd", "dialect": "ksa"}, "language": "ar"},
    {"type": "configure", "output": {"encoding": "mulaw", "sample_rate": 8000}},
    {"type": "configure", "input": {"sample_rate": 8000}, "turn_detection": "none"},
    {"type": "audio", "audio_base64": "UklGRiQAAABXQVZF"},
    {"type": "text", "text": "مرحبا"},
    {"type": "playback", "turn": 1, "played_ms": 120.5},
    {"type": "audio_end"},
    {"type": "interrupt"},
    {"type": "ping", "id": "here"},
)
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 10**400, 1e308, "", "x" * 70_000, "\ud800", "\x00\u202e", [], {},
    [[]] * 50, {"a": {"b": {}}}, "NaN", "ping",
)  # fmt: skip
JUNK = ("{", "}", "[", '"', "\\u", ",", "\x00", "NaN", "-", "1e999", "\u202e", "[" * 5000)


def mutated(randomly: random.Random) -> str:
    """Change a message in its fields, or in its characters."""
    message = dict(randomly.choice(SEEDS))
    for _ in range(randomly.randint(0, 2)):
        name = randomly.choice([*message, "id", "type", "unknown"])
        if randomly.random() < 0.2:
            message.pop(name, None)
        else:
            message[name] = randomly.choice(VALUES)
    text = json.dumps(message, ensure_ascii=randomly.random() < 0.5)
    text = text.encode("utf-8", "replace").decode()
    for _ in range(randomly.choice((0, 0, 1, 3))):
        at = randomly.randrange(len(text) + 1)
        text = text[:at] + randomly.choice(JUNK) + text[at + randomly.randint(0, 3) :]
    return text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    settings = {"MAX_MESSAGES_PER_S": "10000", "LOG_LEVEL": "debug"}
    async with gateway_process(tmp_path_factory.mktemp("gateway"), settings) as running:
        yield running


async def test_every_refusal_has_a_code(gateway: GatewayProcess) -> None:
    known = {error.code for error in subclasses(errors.NabraError)}

    async def send(seed: int) -> int:
        randomly, refused = random.Random(seed), 0
        async with connect(gateway.endpoint, max_size=None, proxy=None) as socket:

            async def receive() -> None:
                nonlocal refused
                async for data in socket:
                    event = json.loads(data)
                    if event["type"] == "error":
                        assert event["code"] in known and event["message"], event
                        refused += 1
                    elif event.get("id") == "the last":
                        return

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(receive())
                for _ in range(MESSAGES // CONNECTIONS):
                    await socket.send(mutated(randomly))
                await socket.send('{"type": "ping", "id": "the last"}')
        return refused

    refused = await asyncio.gather(*map(send, range(CONNECTIONS)))
    assert sum(refused) > MESSAGES // 4
    assert "Traceback" not in gateway.log()


async def test_a_text_that_is_no_utf_8_costs_its_sender_the_connection(
    gateway: GatewayProcess,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    stranger = Stranger(reader, writer)
    await stranger.upgrade()
    await stranger.send(frame(TEXT, b"\xff\xfe{"))
    await stranger.closed()
    stranger.abort()
    async with connect(gateway.endpoint, proxy=None) as socket:
        try:
            await socket.send(b"\x00" * 10)
            await socket.recv()
        except ConnectionClosed:
            raise AssertionError("binary frames are no reason to close") from None
    assert "Traceback" not in gateway.log()


def subclasses(kind: type[errors.NabraError]) -> set[type[errors.NabraError]]:
    return {kind}.union(*(subclasses(each) for each in kind.__subclasses__()))
