"""`python -m app.serving.healthcheck`: asks the gateway of this container whether it is alive.

Imports the standard library alone, as it is started every few seconds. Exits with 1, and a line,
unless `/healthz` answers.
"""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 3.0
"""Longest wait for the answer; the image gives up on this program after 4 s."""

OK = 200

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a gateway is reached that listens on no address in particular."""


def address(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return host and port of the gateway. An empty value counts as unset, as in the settings."""
    host = environment.get("HOST", "").strip()
    port = environment.get("PORT", "").strip() or "8000"
    return _LOOPBACK.get(host, host), int(port)


def main() -> None:
    """Ask, past any proxy that the environment names."""
    try:
        host, port = address(os.environ)
        connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, ValueError, HTTPException) as error:
        sys.exit(f"no answer: {error}")
    if status != OK:
        sys.exit(f"/healthz answered HTTP {status}")


if __name__ == "__main__":
    main()
