"""Who loads FFmpeg, and who does not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "module",
    ["app.serving.process", "app.main", "app.cli", "app.simulator.server", "app.client.console"],
)
def test_only_a_decoder_loads_ffmpeg(module: str) -> None:
    script = f"import sys, {module}; sys.exit('av' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_decoder_loads_little_of_ours_and_no_numpy() -> None:
    script = (
        "import sys, app.decoder.__main__\n"
        "ours = {name for name in sys.modules if name.startswith('app.')}\n"
        "print(*sorted(ours - {'app.errors'}), 'numpy' in sys.modules, 'asyncio' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    *ours, numpy, asyncio = done.stdout.split()
    assert all(name.startswith("app.decoder") for name in ours)
    assert (numpy, asyncio) == ("False", "False")
