"""Data that an agent sends for the client beside words."""

import asyncio

import orjson

from app.errors import AgentDataLimitError
from app.pipeline import events

MAX_DATA_BYTES = 64 * 1024
"""Largest JSON of one event: a screenful of products, but no picture. Chosen."""

MAX_DATA_EVENTS = 100
"""Most events of one turn: more than a person looks at while listening. Chosen."""


class ClientData:
    """Passes the data of one turn on to the client, within limits of size and number.

    What exceeds them is dropped, and `error` says so.
    """

    def __init__(self, turn: int, emit: events.Emit) -> None:
        self.error: AgentDataLimitError | None = None
        """Why data was dropped first; None if none was."""
        self._turn = turn
        self._emit = emit
        self._count = 0
        self._queue: asyncio.Queue[events.DataReceived | None] = asyncio.Queue()

    def put(self, data: object, source: str) -> None:
        """Add data of a node; it is encoded at once, and sent by `run`."""
        self._count += 1
        if self._count > MAX_DATA_EVENTS:
            self._drop(f"more than {MAX_DATA_EVENTS} data events in one turn")
            return
        try:
            encoded = orjson.dumps(data)
        except (TypeError, ValueError):
            self._drop("data that cannot be written as JSON")
            return
        if len(encoded) > MAX_DATA_BYTES:
            self._drop(f"more than {MAX_DATA_BYTES} bytes in one data event")
            return
        self._queue.put_nowait(events.DataReceived(self._turn, encoded, source))

    def end(self) -> None:
        """Let `run` send what is left, and return."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Send data until the end."""
        while (event := await self._queue.get()) is not None:
            await self._emit(event)

    def _drop(self, reason: str) -> None:
        self.error = self.error or AgentDataLimitError(reason)
