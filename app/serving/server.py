"""The server that drains: uvicorn's, with our meaning of SIGTERM and SIGINT."""

import socket
from types import FrameType

import uvicorn

from app.api.drain import Drain
from app.serving.stop_signals import exit_at_once


class DrainingServer(uvicorn.Server):
    """Drains on the first stop signal, and ends at once on the second; the exit code is 0.

    A third one does not even wait for what is being closed.

    While it drains it listens on, so that `/readyz` and new clients are answered.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain
        self._stop_signals = 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Count the signal; uvicorn would raise it again at the end, and so change the exit code.

        Nothing else is done here, as a handler may run between any two instructions.
        """
        self._stop_signals += 1
        if not self.started or self._stop_signals > 2:
            exit_at_once(sig, frame)
        if self._stop_signals > 1:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Begin the drain that a signal asked for; return whether to stop. Called every 0.1 s."""
        if self._stop_signals:
            self._drain.begin()
        return await super().on_tick(counter) or self._drain.is_complete

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything; uvicorn leaves the application out when it is forced to end."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()
