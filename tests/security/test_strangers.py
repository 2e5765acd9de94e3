"""Strangers attack a gateway while a polite caller talks; then it is stopped in the midst of it."""

import asyncio
from pathlib import Path

import pytest

from bench.attackers import ATTACKS, attacking
from tests.security.gateways import (
    MAX_KEPT_BYTES,
    MAX_PULSE_S,
    MAX_RISE_BYTES,
    Watch,
    gateway_process,
    polite_turns,
)


@pytest.mark.parametrize("name", ATTACKS)
async def test_others_talk_on_and_the_gateway_stays_as_it_is(name: str, tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as gateway:
        enough = asyncio.Event()
        enough.set()
        await polite_turns(gateway, enough)  # what is loaded when it is needed is loaded now
        enough.clear()
        async with Watch(gateway).watching() as watch:
            async with asyncio.timeout(50), attacking(name, gateway.port) as attacker:
                talking = asyncio.create_task(polite_turns(gateway, enough))
                await attacker.struck()
                enough.set()
                turns = await talking
            kept_bytes = await watch.settled_bytes(MAX_KEPT_BYTES, timeout_s=10)
        async with attacking(name, gateway.port) as attacker:
            await attacker.struck()
            stop_s = await gateway.stop()
        print(
            f"{name}: rise {watch.rise_bytes >> 20} MiB, kept {kept_bytes >> 20} MiB, "
            f"healthz {watch.slowest_s:.2f} s, {turns} turns, stop {stop_s:.1f} s"
        )
        assert not watch.failures
        assert watch.rise_bytes < MAX_RISE_BYTES
        assert kept_bytes < MAX_KEPT_BYTES
        assert watch.slowest_s < MAX_PULSE_S
        assert "Traceback" not in gateway.log()
