"""The control of a simulator in another process."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

TIMEOUT_S = 5.0
"""Longest wait; the simulator answers at once, or not at all."""


class ControlClient:
    """Reads and changes the simulator whose control is at `url`, while its context lasts.

    Raises `OSError` when it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        # Not kept open: between two clicks the simulator may have closed it, and a change is not
        # sent twice.
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(TIMEOUT_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def read(self) -> dict[str, Any]:
        """Return the configuration, the timing in force and the totals."""
        return await self._ask("GET")

    async def change(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Change what is named; return the new state. Raises `ValueError` that names the field."""
        return await self._ask("PATCH", patch)

    async def _ask(self, method: str, patch: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            async with self._session.request(method, self._url, json=patch) as response:
                answer: dict[str, Any] = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OSError(str(error)) from error
        if response.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise ValueError(answer["message"])
        return answer
