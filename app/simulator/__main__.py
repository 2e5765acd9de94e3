"""`python -m app.simulator`: run the simulator by itself."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from app.simulator.config import SimulatorConfig
from app.simulator.faults import FAULT_NAMES
from app.simulator.profiles import ProfileName, current_name
from app.simulator.server import run
from app.simulator.transcripts import read_lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and serve until a signal."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        config = SimulatorConfig.validated(_values(options))
    except (ValueError, OSError) as error:
        parser.error(str(error))
    run(config, exit_with_parent=options.exit_with_parent)


def _parser() -> argparse.ArgumentParser:
    """Declare the options, each once; the configuration checks most of the values."""
    parser = argparse.ArgumentParser(prog="python -m app.simulator", description=__doc__)
    parser.add_argument(
        "--profile", type=current_name, choices=get_args(ProfileName), default="fast"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides which requests faults fire on")
    parser.add_argument("--voice", choices=("auto", "espeak", "hum"), default="auto")
    parser.add_argument("--script", type=Path, help="transcripts, one line a turn, UTF-8")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=PROBABILITY",
        help=f"may be given several times; names: {', '.join(FAULT_NAMES)}",
    )
    parser.add_argument(
        "--throttle",
        metavar="LIMIT/SECONDS[:MODE]",
        help="sockets that may be opened; mode truncated (default) or refused",
    )
    parser.add_argument("--ws-port", type=int, default=0, help="0: any free port")
    parser.add_argument("--http-port", type=int, default=0, help="0: any free port")
    parser.add_argument("--key", help="the only key to accept; default: any")
    parser.add_argument(
        "--exit-with-parent", action="store_true", help="end when standard input ends"
    )
    return parser


def _values(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options as values of the configuration. Raises `ValueError` and `OSError`."""
    names = ("profile", "seed", "voice", "ws_port", "http_port", "key")
    return {
        **{name: getattr(options, name) for name in names},
        "script": read_lines(options.script) if options.script else None,
        "faults": dict(parse_fault(fault) for fault in options.fault),
        "throttle": parse_throttle(options.throttle) if options.throttle else None,
    }


def parse_fault(option: str) -> tuple[str, float]:
    """Parse `NAME=PROBABILITY`; a bare name means always. Raises `ValueError`."""
    name, _, probability = option.partition("=")
    try:
        return name, float(probability or 1)
    except ValueError:
        raise ValueError(f"faults.{name}: {probability!r} is not a number from 0 to 1") from None


def parse_throttle(option: str) -> dict[str, str]:
    """Parse `LIMIT/SECONDS` or `LIMIT/SECONDS:MODE`. Raises `ValueError`."""
    budget, _, mode = option.partition(":")
    limit, slash, window_s = budget.partition("/")
    if not slash:
        raise ValueError(f"throttle: write LIMIT/SECONDS[:MODE], like 4/20; got {option!r}")
    return {"limit": limit, "window_s": window_s, "mode": mode or "truncated"}


if __name__ == "__main__":
    main()
