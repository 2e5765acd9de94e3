"""Connections without a request where files are few: others come in, and the log says it once."""

import asyncio
from pathlib import Path

from bench.attackers import attacking
from tests.security.gateways import gateway_process, polite_turns
from tests.security.pulse import ask


async def test_with_64_files_others_still_get_in(tmp_path: Path) -> None:
    async with gateway_process(tmp_path, descriptors=64) as gateway:
        enough = asyncio.Event()
        async with attacking("2,000 that send nothing", gateway.port) as attacker:
            await attacker.struck()
            talking = asyncio.create_task(polite_turns(gateway, enough, least=3))
            for _ in range(10):
                await asyncio.to_thread(ask, gateway.port)
            enough.set()
            assert await talking >= 3
        lines = [line for line in gateway.log().splitlines() if "too-many-pending" in line]
        assert 1 <= len(lines) <= 3, "limited"
        assert "Traceback" not in gateway.log()
        assert await gateway.stop() < 10
