"""The unit of systemd, as far as `systemd-analyze` can judge it without running it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.api.drain import CLOSE_S
from app.serving.process import GRACE_S
from app.settings import Settings

UNIT = Path(__file__).parents[2] / "deploy" / "nabra.service"
ANALYZE = shutil.which("systemd-analyze")


def values(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def analyze(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it on the unit, with a program that is there."""
    assert ANALYZE is not None
    unit = tmp_path / UNIT.name
    program = values("ExecStart")[0].split()[0]
    unit.write_text(UNIT.read_text().replace(f"={program} ", f"={shutil.which('true')} "))
    return subprocess.run(
        [ANALYZE, *arguments, str(unit)], capture_output=True, text=True, check=False
    )


def test_the_gateway_alone_is_told_to_stop_and_has_time_for_its_running_turns() -> None:
    assert values("KillMode") == ["mixed"]
    (stop_s,) = values("TimeoutStopSec")
    assert float(stop_s) > Settings.model_fields["drain_s"].default + CLOSE_S + GRACE_S


def test_decoders_may_limit_themselves() -> None:
    """They call setrlimit and nice, which `@resources` would refuse."""
    assert not any("@resources" in each for each in values("SystemCallFilter"))


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")
def test_systemd_finds_no_mistake_in_the_unit(tmp_path: Path) -> None:
    found = analyze(tmp_path, "verify", "--man=no")
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")
def test_systemd_counts_little_that_the_unit_leaves_open(tmp_path: Path) -> None:
    """On its scale from 0 to 10 services without any hardening have 9.6."""
    found = analyze(tmp_path, "security", "--offline=true", "--threshold=20", "--no-pager")
    assert found.returncode == 0, found.stdout[-200:] + found.stderr
