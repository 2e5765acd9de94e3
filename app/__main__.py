"""`nabra` and `python -m app`: the command line.

For `serve` the stop signals have a handler before anything that takes time is imported.
"""

import sys

from app.serving import stop_signals


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["serve"]:
        stop_signals.install()
    from app.cli import main as run_command  # noqa: PLC0415 - after the handler

    run_command()


if __name__ == "__main__":
    main()
