"""What chunks, tokens and sentences cost in pure code: `test_micro.py`, by pytest-benchmark."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.results import ROOT, Result, Table

TESTS = Path(__file__).with_name("test_micro.py")


def run() -> Result:
    """Run the benchmarks; one that exceeds its bound is told as such."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "micro.json"
        command = [sys.executable, "-m", "pytest", str(TESTS), "--benchmark-quiet"]
        ended = subprocess.run(
            [*command, f"--benchmark-json={target}"],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if not target.exists():
            raise RuntimeError(f"the benchmarks did not run:\n{ended.stdout}{ended.stderr}")
        measured = json.loads(target.read_text(encoding="utf-8"))["benchmarks"]
    rows = [
        (info["what"], entry["stats"]["median"] * 1e6, info["loops"], info["bound"])
        for entry in measured
        for info in [entry["extra_info"]]
    ]
    return Result(
        "micro",
        [
            Table(
                "Pure code on the way of a chunk, a token, a sentence",
                ("what", "median µs", "loops", "bound"),
                rows,
                "A loop is a plain one of 1,000 rounds, timed in the same run; the bound is three "
                "times what was measured when it was set.",
            )
        ],
    )
