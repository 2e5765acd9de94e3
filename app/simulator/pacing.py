"""RequestClock: the time since a request arrived."""

import asyncio


class RequestClock:
    """Measure from its creation, so that the errors of single waits do not add up."""

    def __init__(self) -> None:
        self._started_at = asyncio.get_running_loop().time()

    async def sleep_until(self, at_s: float) -> None:
        """Sleep until `at_s` seconds after the start; once that is past, only yield to the loop."""
        elapsed_s = asyncio.get_running_loop().time() - self._started_at
        await asyncio.sleep(max(0.0, at_s - elapsed_s))
