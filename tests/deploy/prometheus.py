"""A real Prometheus with the files of `deploy/`, changed in addresses, paths and intervals."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.proxies import DEPLOY, changed

EXECUTABLE = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
IS_REQUIRED = os.environ.get("NABRA_REQUIRE_PROMETHEUS") == "1"
"""Whether the tests fail without it, instead of being skipped."""

MISSING = (
    "there is no prometheus: that deploy/alerts.yml and deploy/grafana.json find what they ask for "
    "is untested (apt-get install prometheus)"
)
IS_MISSING = EXECUTABLE is None or PROMTOOL is None

START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    http: httpx.AsyncClient

    async def query(self, expression: str) -> list[float]:
        """Return the values of all series of an expression."""
        result = (await self.get("query", query=expression))["result"]
        return [float(series["value"][1]) for series in result]

    async def get(self, what: str, **parameters: str) -> Any:
        """Ask its API."""
        response = await self.http.get(f"/api/v1/{what}", params=parameters)
        answer = response.json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]


@asynccontextmanager
async def prometheus(directory: Path, target: str, token: str) -> AsyncIterator[Prometheus]:
    """Run it over the gateway at `target`, host and port, which wants this token."""
    (directory / "token").write_text(token)
    config = directory / "prometheus.yml"
    changes = {
        "gateway:8000": target,
        "/run/metrics_token": str(directory / "token"),
        "/etc/nabra/alerts.yml": str(DEPLOY / "alerts.yml"),
        "scrape_interval: 10s": "scrape_interval: 200ms",
        "evaluation_interval: 10s": "evaluation_interval: 200ms",
    }
    config.write_text(changed("prometheus.yml", changes))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert EXECUTABLE is not None
    process = await asyncio.create_subprocess_exec(
        EXECUTABLE,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
        env={"GOMAXPROCS": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http:
            await _until_ready(http, process)
            yield Prometheus(http)
    finally:
        if process.returncode is None:
            process.terminate()
        _, stderr = await process.communicate()
        print(stderr.decode())


async def _until_ready(http: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.returncode is None:
            with suppress(httpx.TransportError):  # it does not listen yet
                if (await http.get("/-/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise AssertionError("prometheus ended")


async def promtool(*arguments: str, given: bytes = b"") -> tuple[int, str]:
    """Run it with this on its standard input; return its exit code and what it wrote."""
    assert PROMTOOL is not None
    process = await asyncio.create_subprocess_exec(
        *(PROMTOOL, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, output.decode()
