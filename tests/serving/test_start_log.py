"""What the log says of a start, and in JSON of a start that fails."""

import asyncio
import os
import sys
from pathlib import Path
from unittest import mock

import pytest
from structlog.testing import capture_logs

from app import __version__
from app.serving.start_log import MAX_SETTING_CHARS, log_start, requested_format
from app.settings import Settings
from tests.telemetry.json_gateway import Line, parsed
from tests.test_serve import environment

BROKEN_SIMULATOR = """
import sys, types
import app.simulator.child
app.simulator.child.sys = types.SimpleNamespace(executable=sys.argv.pop(1))
from app.cli import main
main()
"""
"""Serves, with another program in the place of the simulator."""

UNCAUGHT = """
import threading, warnings
from app.telemetry import logs
logs.configure("info", "json")
logs.own_process()
warnings.warn("an odd thing")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("two\\nlines")
"""


def test_the_settings_that_differ_are_told_without_secrets() -> None:
    settings = Settings(
        port=9000,
        log_transcripts=True,
        hamsa_api_key="pk-8d1f63aa",  # type: ignore[arg-type]  # the model wraps it
        client_keys="acme:ck-19ab4e0a7255aa33aa,other:ck-5e02c7b9d1aa55aa33",  # type: ignore[arg-type]
        agent_webhook_url="https://n8n.example.com:5678/webhook/7f3c?token=s",
        agent_system_prompt="word " * 200,
    )
    with capture_logs() as lines:
        log_start(settings)
    (line,) = lines
    assert line["version"] == __version__
    told = dict(each.split("=", 1) for each in line["settings"])
    prompt = told.pop("AGENT_SYSTEM_PROMPT")
    assert len(prompt) == MAX_SETTING_CHARS + 1
    assert told == {
        "PORT": "9000",
        "LOG_TRANSCRIPTS": "true",
        "HAMSA_API_KEY": "***",
        "CLIENT_KEYS": "***,***",
        "AGENT_WEBHOOK_URL": "https://n8n.example.com:5678/…",
    }


@pytest.mark.parametrize(
    ("variable", "file", "format"),
    [
        ({}, None, "console"),
        ({"LOG_FORMAT": "JSON"}, None, "json"),
        ({"log_format": "json"}, "LOG_FORMAT=console\n", "json"),
        ({"LOG_FORMAT": ""}, "PORT=1\nLog_Format='json'\n", "json"),
        ({}, "LOG_FORMAT=yaml\n", "console"),
        ({"LOG_FORMAT": "json"}, "LOG_FORMAT='open\n", "json"),
        ({}, b"\xff\xfe", "console"),
    ],
)
def test_the_format_is_known_before_the_settings_are(
    variable: dict[str, str],
    file: str | bytes | None,
    format: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if file is not None:
        (tmp_path / ".env").write_bytes(file if isinstance(file, bytes) else file.encode())
    with mock.patch.dict(os.environ, variable, clear=True):
        assert requested_format() == format


async def output_of(cwd: Path, *command: str) -> tuple[int | None, list[Line]]:
    """Run a program that fails; return its exit code, and its lines, all of which are JSON."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=environment(LOG_FORMAT="json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, parsed(output.decode())


async def test_a_simulator_that_does_not_start_is_told_in_json_alone(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sh"
    broken.write_text('#!/bin/sh\necho "no voice" >&2\n')
    broken.chmod(0o755)
    program = (sys.executable, "-c", BROKEN_SIMULATOR, str(broken), "serve")
    code, lines = await output_of(tmp_path, *program)
    assert code == 3
    assert [line["event"].split(":")[0] for line in lines] == [
        *("starting", "simulator", "RuntimeError", "Application startup failed. Exiting.")
    ]
    assert lines[1]["event"] == "simulator: no voice"
    assert "in lifespan" in lines[2]["exception"]


async def test_what_python_prints_is_json_too(tmp_path: Path) -> None:
    code, lines = await output_of(tmp_path, sys.executable, "-c", UNCAUGHT)
    warning, of_thread, of_process = lines
    assert code == 1
    assert "an odd thing" in warning["event"]
    assert "ZeroDivisionError" in of_thread["exception"]
    assert "RuntimeError: two\nlines" in of_process["exception"]
