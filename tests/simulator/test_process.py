"""The simulator as a process of its own."""

import json
import signal
import subprocess
import sys
import urllib.request

import pytest

from app.simulator.__main__ import main, parse_fault, parse_throttle

COMMAND = [sys.executable, "-m", "app.simulator", "--voice=hum"]


def start(*arguments: str) -> tuple[subprocess.Popen[bytes], dict[str, str | int]]:
    """Start the simulator; return what it announced."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([*COMMAND, *arguments], stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def test_it_announces_itself_and_ends_with_its_parent() -> None:
    process, announced = start("--exit-with-parent", "--fault=drop=0.5", "--throttle=4/20:refused")
    with process:
        keys = ["hamsa_ws_url", "hamsa_rest_url", "agent_webhook_url", "agent_completions_url"]
        keys.append("openai_base_url")
        assert list(announced) == [*keys, "control_url", "voice", "profile", "seed"]
        assert (announced["voice"], announced["profile"], announced["seed"]) == ("hum", "fast", 0)
        with urllib.request.urlopen(str(announced["control_url"]), timeout=10) as response:
            config = json.load(response)["config"]
        assert config["faults"]["drop"]["probability"] == 0.5
        assert config["throttle"] == {"limit": 4, "window_s": 20, "mode": "refused"}
        assert process.communicate(timeout=10) == (b"", b"")  # closes its standard input
        assert process.returncode == 0


def test_the_old_name_of_a_profile_prints_one_line() -> None:
    process, announced = start("--exit-with-parent", "--profile=seed")
    with process:
        assert announced["profile"] == "measured"
        _, printed = process.communicate(timeout=10)
    assert printed == b"profile 'seed' is deprecated; use 'measured'\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_traceback(number: signal.Signals) -> None:
    process, _ = start("--seed=7", "--profile=instant")
    with process:
        process.send_signal(number)
        assert process.communicate(timeout=10) == (b"", b"")
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fault=nonsense"], "faults.nonsense: "),
        (["--fault=drop=often"], "faults.drop: 'often' is not a number from 0 to 1"),
        (["--throttle=4"], "write LIMIT/SECONDS[:MODE], like 4/20; got '4'"),
        (["--script=/nowhere"], "No such file"),
    ],
)
def test_bad_arguments_are_explained(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capfd.readouterr().err


def test_options_are_parsed() -> None:
    assert parse_fault("drop=0.25") == ("drop", 0.25)
    assert parse_fault("drop") == ("drop", 1.0)
    assert parse_throttle("4/20")["mode"] == "truncated"
