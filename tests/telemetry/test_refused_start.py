"""A start that is refused where JSON is asked for: all is JSON, and the last line says why."""

import contextlib
import os
import socket
from pathlib import Path
from unittest import mock

import pytest

from app.serving.process import serve
from app.telemetry import logs
from tests.telemetry.json_gateway import Line, parsed
from tests.telemetry.log_lines import lines_of
from tests.test_serve import environment


@pytest.fixture(autouse=True)
def kept_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the hooks of this process alone."""
    monkeypatch.setattr(logs, "own_process", lambda: None)


def refused_start(cwd: Path, capsys: pytest.CaptureFixture[str], **changes: str) -> list[Line]:
    variables = environment(LOG_FORMAT="JSON", **changes)
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, variables, clear=True),
        pytest.raises(SystemExit) as exit_,
    ):
        serve()
    assert exit_.value.code == 1
    return parsed("".join(f"{line}\n" for line in lines_of(capsys)))


def test_a_wrong_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"PORT": "99999", "LOG_LEVEL": "loud"}
    *_, last = refused_start(tmp_path, capsys, **wrong)
    assert (last["event"], last["level"]) == ("nabra cannot start", "error")
    assert [reason.split(":")[0] for reason in last["reasons"]] == ["PORT", "LOG_LEVEL"]


def test_a_warning_about_a_setting_before_one_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deprecated = {"SIMULATOR_PROFILE": "seed", "SIMULATOR_SCRIPT": "absent.txt"}
    warning, last = refused_start(tmp_path, capsys, **deprecated)
    assert (warning["level"], "seed is deprecated" in warning["event"]) == ("warning", True)
    assert last["reasons"] == [
        "SIMULATOR_SCRIPT: cannot read absent.txt: No such file or directory"
    ]


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        *_, last = refused_start(tmp_path, capsys, PORT=port)
    assert last["event"] == f"nabra cannot listen on 127.0.0.1:{port} (HOST, PORT)"
    assert last["reasons"] == ["Address already in use"]
