"""CPU time of pure code per chunk, token, sentence and recording (`bench/test_micro.py`)."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.results import ROOT, Result, Table

TESTS = Path(__file__).with_name("test_micro.py")


def run() -> Result:
    """Run the benchmarks with pytest; results beyond their bound are recorded too."""
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
        (info["operation"], entry["stats"]["median"] * 1e6, info["loops"], info["bound"])
        for entry in measured
        for info in [entry["extra_info"]]
    ]
    return Result(
        "micro",
        [
            Table(
                "Pure code on the path of a chunk, a token, a sentence, a recording",
                ("operation", "median µs", "reference loops", "bound"),
                rows,
                "Reference loop: a plain Python loop of 1,000 rounds, timed in the same run. "
                "Bound: three times the number of loops measured when it was set; beyond it the "
                "benchmark fails.",
            )
        ],
    )
