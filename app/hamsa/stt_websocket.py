"""STT over the pool of persistent sockets."""

import asyncio

from app import errors
from app.audio import wav
from app.hamsa import wire
from app.hamsa.connection import Connection
from app.pool.pool import ConnectionPool
from app.pool.terms import LeaseTerms
from app.stt.base import Transcriber, Utterance
from app.timeouts import stall_tolerant_timeout


class WebSocketTranscriber(Transcriber):
    """Sends the whole utterance over a leased socket, and waits `timeout_s` seconds at most.

    `acquire_timeout_s` bounds the wait for a socket, in seconds; None is the limit of the pool.

    When the socket breaks, the request is sent once more over another one, within the same limit:
    a socket can die unnoticed while it is idle.
    """

    name = "websocket"
    provider = "hamsa"

    def __init__(
        self,
        pool: ConnectionPool[Connection],
        *,
        timeout_s: float,
        acquire_timeout_s: float | None = None,
    ) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s
        self._timeout_s = timeout_s

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when the utterance holds no words."""
        request = wire.stt_request(
            wav(utterance.pcm, utterance.format), language=utterance.language
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        try:
            return await self._send(request, self._timeout_s)
        except errors.ConnectionLostError:
            left_s = deadline - loop.time()
            if left_s <= 0:
                raise
            return await self._send(request, left_s)

    async def warm_up(self) -> None:
        """Have a socket opened; do not wait for it."""
        self._pool.warm_up()

    async def _send(self, request: bytes, timeout_s: float) -> str:
        """Send the request over a leased socket and wait for the transcript.

        The wait for a socket does not count: `timeout_s` bounds the provider's time alone.
        """
        async with self._pool.lease(LeaseTerms(self._acquire_timeout_s)) as lease:
            try:
                async with stall_tolerant_timeout(timeout_s):
                    await lease.connection.send(request, last_frame=wire.Transcript)
                    while True:
                        match await lease.connection.receive():
                            case wire.Transcript(text):
                                return text.strip()
                            case wire.Failure(error):
                                raise error
            except TimeoutError:
                raise errors.ProviderTimeoutError(
                    f"no transcript within {self._timeout_s} s"
                ) from None
