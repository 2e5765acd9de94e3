"""The control of a simulator in another process."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_S = 5.0
"""Longest wait; the simulator answers at once, or not at all."""


class ControlPanel:
    """Reads and changes the simulator whose control is at `url`, while its context lasts.

    Raises `OSError` when it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        # Not kept open: between two clicks the simulator may have closed it, and a change is not
        # sent twice.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def read(self) -> dict[str, Any]:
        """Return the configuration, the timing in force and the totals."""
        return await self._ask("GET")

    async def change(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Change what is named; return the new state. Raises `ValueError` that names the field."""
        return await self._ask("PATCH", patch)

    async def _ask(self, method: str, patch: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = await self._http.request(method, self._url, json=patch)
        except httpx.TransportError as error:
            raise OSError(str(error)) from error
        answer: dict[str, Any] = response.json()
        if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise ValueError(answer["message"])
        return answer
