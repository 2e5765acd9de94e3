"""Run benchmark scenarios: the default ones, those that are named, or `all`."""

import asyncio
import importlib
import inspect
import subprocess
import sys
import time

from bench.results import ROOT, Circumstances, Result, Scenario, write

SCENARIOS = (
    "before_after",
    "first_audio",
    "first_clause",
    "recovery",
    "failover",
    "overhead",
    "cost",
    "competitors",
    "memory",
    "scale",
    "http",
    "hold_back",
    "connection_storm",
    "truncation",
    "sustained_faults",
    "barge_in",
    "turn_detection",
    "stt_early",
    "strangers",
    "soak",
    "splitter",
    "micro",
)
"""Each is a module of this package with a function `run` that returns a `Result`."""

DEFAULT = (
    "before_after",
    "first_audio",
    "recovery",
    "overhead",
    "cost",
    "memory",
    "scale",
    "micro",
)
"""Scenarios that run when none is named: latency, load and cost, in less than half an hour. The
others measure behaviour under faults, and take as long again."""

ON_REQUEST = frozenset({"competitors"})
"""What `all` leaves out: it needs an environment of its own (`make competitors`)."""

LIMIT_S = 900
"""A guard against a scenario that hangs; the longest one takes half of it."""


def main(names: list[str]) -> None:
    """Run the scenarios of these names, or the default ones if there are none."""
    if names == ["all"]:
        names = [name for name in SCENARIOS if name not in ON_REQUEST]
    names = names or list(DEFAULT)
    unknown = sorted(set(names) - set(SCENARIOS))
    if unknown:
        sys.exit(
            f"unknown scenario: {', '.join(unknown)}; choose from: all, {', '.join(SCENARIOS)}"
        )
    if len(names) == 1:
        _run(names[0])
        return
    # Each runs in a process of its own, so that memory left by one does not affect the next.
    failed = [name for name in names if not _succeeds(name)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _succeeds(name: str) -> bool:
    command = [sys.executable, "-m", "bench", name]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _run(name: str) -> None:
    scenario: Scenario = importlib.import_module(f"bench.{name}").run
    circumstances = Circumstances.of(name)
    started_at = time.monotonic()
    result = asyncio.run(_outcome(scenario))
    result.print()
    write(result, circumstances)
    print(f"{name}: {time.monotonic() - started_at:.0f} s\n", flush=True)


async def _outcome(scenario: Scenario) -> Result:
    async with asyncio.timeout(LIMIT_S):
        outcome = scenario()
        return await outcome if inspect.isawaitable(outcome) else outcome


if __name__ == "__main__":
    main(sys.argv[1:])
