"""`nabra serve` as a process: what it prints, and how it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

import httpx
import pytest

from app import __version__
from app.serving.process import serve
from tests.gateway import audio_of, calling
from tests.processes import children, is_running
from tests.waiting import until

ROOT = Path(__file__).parent.parent
SERVE = (sys.executable, "-c", "from app.cli import main; main()", "serve")


def environment(**changes: str) -> dict[str, str]:
    """The environment of an operator who has set nothing but this."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PORT": "0",
        "SIMULATOR_PROFILE": "instant",
        "SIMULATOR_VOICE": "hum",
        **changes,
    }


@asynccontextmanager
async def serving(
    cwd: Path, **changes: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start it, and read its banner up to the line that says where it listens."""
    process = await asyncio.create_subprocess_exec(
        *SERVE,
        cwd=cwd,
        env=environment(**changes),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    banner = ""
    try:
        while "Open" not in banner:
            line = await process.stdout.readline()
            assert line, (banner, await process.stderr.read() if process.stderr else b"")
            banner += line.decode()
        yield process, banner
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def address(banner: str) -> str:
    return banner.split("Open")[1].split(maxsplit=1)[0]


async def test_without_any_setting_it_uses_the_simulator_and_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, banner):
        lines = banner.splitlines()
        assert lines[0].split() == ["Nabra", __version__]
        assert [line.split()[0] for line in lines[1:]] == [
            *("STT", "Agent", "TTS", "Access", "Open")
        ]
        assert all("simulator" in line for line in lines[1:4])
        async with httpx.AsyncClient(trust_env=False) as client:
            page = await client.get(f"{address(banner)}/")
            assert page.status_code == 200 and "Nabra" in page.text
            assert (await client.get(f"{address(banner)}/healthz")).status_code == 200
        url = address(banner).replace("http", "ws") + "/ws/agent/"
        async with calling(url) as caller:
            await caller.send_audio()
            assert audio_of(await caller.until("done"))


async def test_what_is_not_configured_is_the_simulator_and_what_looks_wrong_is_warned_of(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, HAMSA_API_KEY="k", HAMSA_WS_URL="ws://127.0.0.1:9/") as (
        _,
        banner,
    ):
        _, stt, agent, tts, *_ = banner.splitlines()
        assert "Hamsa" in stt and "Hamsa" in tts and "simulator" in agent
    mistakes = {"AGENT_WEBHOOK_URL": "http://127.0.0.1:9/", "TTS_SPEKER": "Majd"}
    async with serving(tmp_path, **mistakes) as (process, banner):
        _, stt, agent, tts, *_ = banner.splitlines()
        assert "simulator" in stt and "simulator" in tts and "webhook" in agent
        assert process.stderr is not None
        warnings = [(await process.stderr.readline()).decode() for _ in mistakes]
        assert "warning" in warnings[0] and "did you mean TTS_SPEAKER?" in warnings[0]
        assert "warning" in warnings[1] and "AGENT_WEBHOOK_URL has no path" in warnings[1]


async def failing_start(cwd: Path, **changes: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *SERVE,
        cwd=cwd,
        env=environment(**changes),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_an_address_that_cannot_be_used_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, output = await failing_start(tmp_path, PORT=str(port))
    assert code == 1
    address = f"127.0.0.1:{port}"
    assert output == f"nabra cannot listen on {address} (HOST, PORT): Address already in use\n"
    code, output = await failing_start(tmp_path, HOST="host.invalid", PORT="8000")
    assert code == 1
    assert output.startswith("nabra cannot listen on host.invalid:8000 (HOST, PORT): ")
    assert "Unknown error" not in output


async def test_a_start_that_is_refused_prints_the_reason_and_no_traceback(tmp_path: Path) -> None:
    code, output = await failing_start(tmp_path, TTS_TRANSPORT="carrier-pigeon")
    assert code == 1
    assert output == refused_start(tmp_path, TTS_TRANSPORT="carrier-pigeon") + "\n"


def refused_start(cwd: Path, **changes: str) -> str:
    """Return what `nabra serve` says before it exits; in this process, as nothing is started."""
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment(**changes), clear=True),
        pytest.raises(SystemExit) as exit_,
    ):
        serve()
    assert isinstance(exit_.value.code, str), "which makes the exit code 1"
    return exit_.value.code


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("TTS_TRANSPORT", "carrier-pigeon", "websocket, rest, auto"),
        ("STT_TRANSPORT", "telepathy", "websocket, rest"),
        ("TTS_SAMPLE_RATE", "44100", "8000 or 16000"),
        ("PORT", "99999", "from 0 to 65535, got 99999"),
        ("SIMULATOR_SCRIPT", "absent.txt", "cannot read absent.txt: No such file or directory"),
        ("SIMULATOR_SCRIPT", "/dev/null", "null holds no line"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_reported(
    tmp_path: Path, name: str, value: str, reason: str
) -> None:
    output = refused_start(tmp_path, **{name: value})
    assert f"{name}:" in output
    assert reason in output
    assert len(output.splitlines()) == 2, "what failed, and why"


@pytest.mark.parametrize(
    ("script", "reason"),
    [(None, "No such file"), (b"", "holds no line"), ("نعم".encode("utf-16"), "UTF-8")],
)
def test_a_script_that_cannot_be_read_is_reported(
    tmp_path: Path, script: bytes | None, reason: str
) -> None:
    path = tmp_path / "script.txt"
    if script is not None:
        path.write_bytes(script)
    output = refused_start(tmp_path, SIMULATOR_SCRIPT=str(path))
    assert "SIMULATOR_SCRIPT:" in output
    assert reason in output


def test_a_proxy_that_does_not_speak_http_is_reported_if_one_is_needed(tmp_path: Path) -> None:
    socks = {"ALL_PROXY": "socks5://127.0.0.1:9"}
    for needing in ("HAMSA_API_KEY", "AGENT_WEBHOOK_URL"):
        assert "HTTP proxy" in refused_start(tmp_path, **socks, **{needing: "http://n8n.test/"})


async def test_the_simulator_is_connected_to_directly_in_spite_of_a_proxy(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    async with serving(tmp_path, **nowhere) as (_, banner):
        async with calling(address(banner).replace("http", "ws") + "/ws/agent/") as caller:
            await caller.send_audio()
            assert audio_of(await caller.until("done"))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_the_simulator_ends_with_its_parent_and_a_stop_prints_no_traceback(
    tmp_path: Path, end: signal.Signals
) -> None:
    async with serving(tmp_path) as (process, _):
        (child,) = children(process.pid)
        process.send_signal(end)
        _, errors = await process.communicate()
        await until(lambda: not is_running(child), state=child, timeout_s=10)
    assert b"Traceback" not in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_standard_output_that_is_full_does_not_prevent_the_start(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        'exec "$@" >/dev/full',
        "sh",
        *SERVE,
        cwd=tmp_path,
        env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            printed = await process.stderr.readuntil(b"Creating new persistent connection")
        assert b"the banner could not be printed" in printed
    finally:
        process.terminate()
        _, rest = await process.communicate()
    assert b"Traceback" not in printed + rest
