"""Strangers attack a gateway, one kind after another, while a polite caller talks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from bench.attackers import ATTACKS, attacking
from tests.security.gateways import (
    MAX_KEPT_BYTES,
    MAX_PULSE_S,
    MAX_RISE_BYTES,
    GatewayProcess,
    Watch,
    gateway_process,
    polite_turns,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("strangers")]

AT_ONCE = (
    "150 that read nothing",
    "flood of messages",
    "2,000 that send nothing",
    "6 hostile recordings",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GatewayProcess]:
    """Run one gateway that bears all attacks, and in which all is loaded that is loaded late."""
    async with gateway_process(tmp_path_factory.mktemp("gateway")) as running:
        enough = asyncio.Event()
        enough.set()
        await polite_turns(running, enough)
        yield running


@pytest.mark.parametrize("name", ATTACKS)
async def test_others_talk_on_and_the_gateway_stays_as_it_is(
    name: str, gateway: GatewayProcess
) -> None:
    enough = asyncio.Event()
    async with Watch(gateway).watching() as watch:
        async with asyncio.timeout(50), attacking(name, gateway.port) as attacker:
            talking = asyncio.create_task(polite_turns(gateway, enough))
            await attacker.struck()
            enough.set()
            turns = await talking
        kept_bytes = await watch.settled_bytes(MAX_KEPT_BYTES, timeout_s=10)
    print(
        f"{name}: rise {watch.rise_bytes >> 20} MiB, kept {kept_bytes >> 20} MiB, "
        f"healthz {watch.slowest_s:.2f} s, {turns} turns"
    )
    assert not watch.failures
    assert watch.rise_bytes < MAX_RISE_BYTES
    assert kept_bytes < MAX_KEPT_BYTES
    assert watch.slowest_s < MAX_PULSE_S
    assert "Traceback" not in gateway.log()


async def test_under_several_attacks_at_once_it_stops_within_its_grace(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as gateway, AsyncExitStack() as stack:
        attackers = [
            await stack.enter_async_context(attacking(name, gateway.port)) for name in AT_ONCE
        ]
        async with asyncio.timeout(40):
            await asyncio.gather(*(attacker.struck() for attacker in attackers))
        await gateway.stop()  # raises where it takes too long
        assert "Traceback" not in gateway.log()
