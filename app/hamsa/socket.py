"""A socket to the provider that processes what arrives in slices."""

from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection

from app.net.slices import SlicedInput


class SlicedSocket(ClientConnection):
    """Lets others run between slices: in 256 KB there may be a hundred thousand empty frames."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._input = SlicedInput(super().data_received, pause=self._pause, resume=self._resume)

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        self._input.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Process what arrived before the loss first."""
        self._input.when_empty(partial(super().connection_lost, exc))

    def _pause(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _resume(self) -> None:
        if not self.recv_messages.paused and not self.transport.is_closing():
            self.transport.resume_reading()
