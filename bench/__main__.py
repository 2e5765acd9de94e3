"""Run all scenarios, or those that are named: `python -m bench [name …]`."""

import asyncio
import sys

from bench import (
    barge_in,
    first_audio,
    first_clause,
    hold_back,
    rotten,
    soak,
    splitter,
    storm,
    truncation,
)

SCENARIOS = {
    "first_audio": first_audio.run,
    "first_clause": first_clause.run,
    "hold_back": hold_back.run,
    "storm": storm.run,
    "truncation": truncation.run,
    "rotten": rotten.run,
    "barge_in": barge_in.run,
    "soak": soak.run,
    "splitter": splitter.run,
}


def main(names: list[str]) -> None:
    """Run the scenarios of these names; all, when there are none."""
    unknown = sorted(set(names) - set(SCENARIOS))
    if unknown:
        sys.exit(f"no scenario is called {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    for name in names or SCENARIOS:
        asyncio.run(SCENARIOS[name]())


main(sys.argv[1:])
