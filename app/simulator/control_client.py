"""ControlClient: read and change a simulator that runs in another process."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_S = 5.0
"""Longest wait for a response; the simulator responds at once, or not at all."""


class ControlClient:
    """Call the control endpoints of the simulator at `url`, while its context lasts.

    All calls raise `OSError` when the simulator cannot be reached within 5 s.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        # A new connection each time: the simulator may have closed an idle one, and a change
        # must not be sent twice. No proxy: the simulator is on this machine.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(limits=limits, timeout=TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def read(self) -> dict[str, Any]:
        """Return the configuration, the timing in force and the totals."""
        return await self._request("GET")

    async def change(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a patch; return the new state. Raises `ValueError` that names the field."""
        return await self._request("PATCH", patch)

    async def _request(self, method: str, patch: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = await self._client.request(method, self._url, json=patch)
            content: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise OSError(f"the simulator's control failed: {error!r}") from error
        if response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise ValueError(content["message"])
        return content
