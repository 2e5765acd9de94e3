"""The simulator as a child process: what it is given, and that it comes back."""

import logging
import os
import signal
from pathlib import Path

import pytest

from app.simulator.child import SimulatorProcess, child_environment
from app.simulator.control_client import ControlClient
from tests.waiting import until

ARGUMENTS = ["--voice=hum", "--profile=instant"]


def pid_of(simulator: SimulatorProcess) -> int:
    assert simulator._process is not None
    return simulator._process.pid


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def test_the_environment_holds_what_python_needs_and_nothing_else() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "LANG": "ar_SA.UTF-8"}
    secret = {"HAMSA_API_KEY": "k", "AGENT_TOKEN": "t", "CLIENT_KEYS": "c", "AWS_SECRET": "a"}
    root = str(Path(__file__).parents[2])
    assert child_environment({**given, **secret}) == {**given, "PYTHONPATH": root}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
async def test_the_child_has_no_secret_and_does_not_import_from_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAMSA_API_KEY", "geheim")
    async with SimulatorProcess(ARGUMENTS) as simulator:
        environment = environment_of(pid_of(simulator))
    assert b"PATH=" in environment
    assert b"geheim" not in environment
    assert b"HAMSA" not in environment


async def test_a_child_that_was_killed_comes_back_on_the_same_ports(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with SimulatorProcess(ARGUMENTS) as simulator:
        async with ControlClient(simulator.urls["control_url"]) as control:
            killed = pid_of(simulator)
            os.kill(killed, signal.SIGKILL)
            await until(lambda: pid_of(simulator) != killed, timeout_s=30)
            assert (await control.read())["voice"] == "hum"
    assert caplog.messages == ["the simulator ended with code -9; it is started again"]
