"""The health check of the image: whom it asks, and what it ends with."""

import os
import re
import subprocess
import sys
from asyncio import to_thread
from pathlib import Path

import pytest

from app.serving.healthcheck import address
from tests.net.scripted_http1 import scripted_http1, whole

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        (None, None, ("127.0.0.1", 8000)),
        ("", "", ("127.0.0.1", 8000)),
        (" ", " 9000\n", ("127.0.0.1", 9000)),
        ("0.0.0.0", "80", ("127.0.0.1", 80)),
        ("::", "80", ("::1", 80)),
        ("10.0.0.7", "80", ("10.0.0.7", 80)),
    ],
)
def test_it_asks_where_the_gateway_listens(
    host: str | None, port: str | None, expected: tuple[str, int]
) -> None:
    environment = {"HOST": host, "PORT": port}
    assert address({k: v for k, v in environment.items() if v is not None}) == expected


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run what the image runs, with the proxy that an operator may have set."""
    command = re.search(r'^    CMD \["python", (.+)\]$', (ROOT / "Dockerfile").read_text(), re.M)
    assert command
    return subprocess.run(
        [sys.executable, *re.findall(r'"(.+?)"', command[1])],
        env={"PATH": os.environ["PATH"], "http_proxy": "http://127.0.0.1:9", **environment},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


async def test_a_gateway_that_answers_is_healthy_and_any_other_is_not() -> None:
    async with scripted_http1(whole(b"{}")) as healthy:
        port = healthy.url.rpartition(":")[2]
        good = await to_thread(check, HOST="", PORT=port)
    assert (good.returncode, good.stderr) == (0, "")
    assert healthy.exchanges[0].head.startswith(b"GET /healthz ")
    async with scripted_http1(whole(b"", "503 Service Unavailable")) as ill:
        bad = await to_thread(check, PORT=ill.url.rpartition(":")[2])
    assert (bad.returncode, bad.stderr) == (1, "/healthz answered HTTP 503\n")
    wrong = await to_thread(check, PORT="eight")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("no answer: ")
    assert "Traceback" not in wrong.stderr
