"""Nabra: a real-time voice-agent gateway for Arabic."""

import sys

__version__ = "0.1.0"

# httpx imports its own command line where rich and pygments are installed, as here: 0.14 s of each
# start for what nobody calls. None makes that import fail, which httpx expects.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
