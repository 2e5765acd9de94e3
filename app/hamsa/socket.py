"""A socket to the provider that processes what arrives in slices."""

import asyncio
from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection

from app.net.slices import SlicedInput


class SlicedSocket(ClientConnection):
    """Lets others run between slices: in 256 KB there may be a hundred thousand empty frames."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._input = SlicedInput(super().data_received, pause=self._pause, resume=self._resume)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that have arrived and are not processed yet."""
        return self._input.size_bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a slow reader hold the processing, too: slices wait here that nobody wants yet."""
        super().connection_made(transport)
        self.recv_messages.pause = self._hold
        self.recv_messages.resume = self._release

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        self._input.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Process what arrived before the loss first."""
        self._input.release()
        self._input.when_empty(partial(super().connection_lost, exc))

    def _hold(self) -> None:
        self._input.hold()
        self._pause()

    def _release(self) -> None:
        self._input.release()
        self._resume()

    def _pause(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _resume(self) -> None:
        can_read = self._input.is_empty and not self.recv_messages.paused
        if can_read and not self.transport.is_closing():
            self.transport.resume_reading()
