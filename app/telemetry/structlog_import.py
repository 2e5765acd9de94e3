"""Imports structlog without rich, which it would take for tracebacks that we print plainly.

That costs 0.1 s of each start. Import this first; a no-op where either is imported already.
"""

import sys

if not {"structlog", "rich"} & set(sys.modules):
    sys.modules["rich"] = None  # type: ignore[assignment] # its import fails, as structlog expects
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]
