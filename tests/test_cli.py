"""The commands: what they say, what they refuse, and what they end with."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from app import __version__
from app.cli import commands
from app.settings import Settings
from app.simulator import FaultSpec, SimulatorConfig, Throttle, server

PROGRAM = "import sys; from app.cli import main; sys.argv[0] = 'nabra'; main()"
HEAVY = {"uvicorn", "fastapi", "websockets", "httpx", "aiohttp", "av", "structlog", "hypercorn"}


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    return CliRunner()


@pytest.fixture
def unused_url() -> Iterator[str]:
    """A URL whose port nothing listens on, and nothing else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"ws://127.0.0.1:{taken.getsockname()[1]}/ws/agent/"


def test_help_lists_the_commands(runner: CliRunner) -> None:
    """`nabra --help` names every command."""
    result = runner.invoke(commands, ["--help"])
    assert result.exit_code == 0
    assert all(command in result.output for command in ("serve", "check", "simulate", "talk"))


def test_version(runner: CliRunner) -> None:
    """`nabra --version` prints name and version, and does nothing else."""
    result = runner.invoke(commands, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"nabra {__version__}\n"


@pytest.mark.parametrize("command", ["serve", "check", "simulate", "talk"])
def test_command_help(runner: CliRunner, command: str) -> None:
    """Every command has a help."""
    result = runner.invoke(commands, [command, "--help"])
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.output


def test_help_is_fast() -> None:
    """Help loads no server, no client and no codec."""
    program = f"import sys, app.cli; print(*({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == ""


def test_serve_starts_the_gateway(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` only calls `app.serving.process`."""
    started: list[bool] = []
    main = ModuleType("app.serving.process")
    main.serve = lambda: started.append(True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "app.serving.process", main)
    assert runner.invoke(commands, ["serve"]).exit_code == 0
    assert started == [True]


def test_ctrl_c_ends_the_gateway_with_exit_code_0(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is stopped at the terminal has not failed."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    main = ModuleType("app.serving.process")
    main.serve = interrupted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "app.serving.process", main)
    assert runner.invoke(commands, ["serve"]).exit_code == 0


@pytest.mark.parametrize(("works", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_of_a_check_is_its_verdict(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, works: bool, code: int
) -> None:
    """`check` passes the text on, and ends with 1 if anything does not work."""
    asked: list[str] = []

    def run(text: str, _write: object) -> bool:
        asked.append(text)
        return works

    command = ModuleType("app.check.command")
    command.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "app.check.command", command)
    assert runner.invoke(commands, ["check", "--text", "كيف حالك؟"]).exit_code == code
    assert asked == ["كيف حالك؟"]


def test_simulate_prints_the_settings_for_a_gateway(tmp_path: Path) -> None:
    """What it prints is a `.env` with the URLs where it listens."""
    command = [sys.executable, "-c", PROGRAM, "simulate", "--voice", "hum", "--key", "k1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        printed = [process.stdout.readline() for _ in range(11)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert "Change faults" in printed[-1]
    (tmp_path / ".env").write_text("".join(printed))
    settings = Settings(_env_file=tmp_path / ".env")  # type: ignore[call-arg]
    assert settings.hamsa_api_key
    assert settings.hamsa_api_key.get_secret_value() == "k1"
    assert {"hamsa_ws_url", "hamsa_rest_url", "agent_webhook_url"} <= settings.model_fields_set


def test_simulate_passes_all_options_on(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every option reaches the simulator's configuration."""
    started: list[SimulatorConfig] = []
    monkeypatch.setattr(server, "run", lambda config, announce: started.append(config))
    (tmp_path / "script.txt").write_text("مرحبا\nشكرا\n", encoding="utf-8")
    result = runner.invoke(commands, [
        "simulate", "--profile", "instant", "--seed", "7", "--voice", "hum",
        "--script", str(tmp_path / "script.txt"), "--fault", "truncated=0.35",
        "--fault", "late_frames", "--throttle", "4/20:refused", "--key", "k1",
        "--ws-port", "9001", "--http-port", "9002",
    ])  # fmt: skip
    assert result.exit_code == 0
    assert started == [
        SimulatorConfig(
            profile="instant", seed=7, voice="hum", script=("مرحبا", "شكرا"),
            faults={"truncated": FaultSpec(probability=0.35), "late_frames": FaultSpec()},
            throttle=Throttle(limit=4, window_s=20, mode="refused"),
            key=SecretStr("k1"), ws_port=9001, http_port=9002,
        )
    ]  # fmt: skip


def test_simulate_on_a_port_in_use(runner: CliRunner) -> None:
    """A port in use is one line on stderr and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = runner.invoke(commands, ["simulate", "--voice", "hum", "--http-port", port])
    assert result.exit_code == 1
    assert result.stderr.startswith("nabra: the simulator cannot start: ")
    assert result.stderr.count("\n") == 1


def test_simulate_with_an_absent_script(runner: CliRunner, tmp_path: Path) -> None:
    """The file that cannot be read is named."""
    absent = tmp_path / "absent.txt"
    result = runner.invoke(commands, ["simulate", "--script", str(absent)])
    assert result.exit_code == 1
    assert result.stderr == f"nabra: cannot read {absent}: No such file or directory\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["sing"],
        ["simulate", "--fault", "gremlins=1"],
        ["simulate", "--fault", "truncated=often"],
        ["simulate", "--fault", "truncated=2"],
        ["simulate", "--throttle", "4"],
        ["simulate", "--profile", "slow"],
        ["simulate", "--ws-port", "65536"],
        ["talk", "--volume", "11"],
        ["talk", "--timeout-s", "0"],
        ["talk", "--timeout-s", "soon"],
        ["talk", "question.wav"],
    ],
)
def test_wrong_usage(runner: CliRunner, arguments: list[str]) -> None:
    """A wrong option ends with exit code 2."""
    assert runner.invoke(commands, arguments).exit_code == 2


def test_connection_refused(runner: CliRunner, unused_url: str) -> None:
    """A gateway that does not run is one line on stderr and exit code 1."""
    result = runner.invoke(commands, ["talk", "--text", "مرحبا", "--url", unused_url])
    assert result.exit_code == 1
    assert result.stdout == "You: مرحبا\n" or result.stdout == ""
    assert result.stderr == (
        f"nabra: cannot connect to {unused_url}: connection refused (is `nabra serve` running?)\n"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent.wav", "No such file"), ("empty.wav", "is empty"), (".", "Is a directory")],
)
def test_unusable_recording(
    runner: CliRunner, tmp_path: Path, unused_url: str, name: str, reason: str
) -> None:
    """A recording that cannot be read is one line, before anything is connected."""
    (tmp_path / "empty.wav").touch()
    result = runner.invoke(commands, ["talk", "--audio", str(tmp_path / name), "--url", unused_url])
    assert result.exit_code == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_talk_without_a_gateway_reads_no_input(unused_url: str) -> None:
    """Lines are read only when connected; the exit code is that of the program."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, "talk", "--url", unused_url],
        check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.startswith("nabra: cannot connect to ")
    assert "Traceback" not in result.stderr
