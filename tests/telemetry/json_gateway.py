"""A gateway as a process that logs JSON, and what it has logged."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.logged_process import logged_process

Line = dict[str, Any]

FAILURES = ("warning", "error", "critical")


@dataclass
class JsonGateway:
    """`nabra serve` whose standard output and error are one file."""

    process: asyncio.subprocess.Process
    log_path: Path

    def text(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def lines(self) -> list[Line]:
        """Return all that was printed; every line must be a JSON object."""
        return parsed(self.text())

    @property
    def endpoint(self) -> str:
        (line,) = (line for line in self.lines() if line["event"] == "listening")
        return str(line["address"]).replace("http", "ws") + "/ws/agent/"

    async def stop(self) -> None:
        self.process.terminate()
        async with asyncio.timeout(30):
            assert await self.process.wait() == 0, self.text()


def parsed(text: str) -> list[Line]:
    """Parse lines of JSON, up to the last that is whole."""
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    return lines


def of_event(lines: Iterable[Line], *events: str) -> list[Line]:
    return [line for line in lines if line["event"] in events]


@asynccontextmanager
async def json_gateway(cwd: Path, settings: Mapping[str, str]) -> AsyncIterator[JsonGateway]:
    """Run a gateway until the context is left, and wait until it listens."""
    log_path = cwd / "log.json"
    settings = {"DRAIN_S": "5", "LOG_FORMAT": "json", **settings}
    async with logged_process(log_path, settings, '"listening"') as process:
        yield JsonGateway(process, log_path)
