"""Speech to text over the pool of persistent sockets."""

import asyncio

from app import errors
from app.audio import wav
from app.hamsa import wire
from app.hamsa.pool import ConnectionPool
from app.stt.base import Transcriber, Utterance


class WebSocketTranscriber(Transcriber):
    """Sends the whole utterance over a leased socket; `timeout_s` bounds the wait for the answer.

    `patience_s` bounds the wait for a socket; without it the pool's own limit does.
    A socket that breaks while it waits is replaced once, within the same bound: it may have died
    unnoticed while idle.
    """

    name = "websocket"

    def __init__(
        self, pool: ConnectionPool, *, timeout_s: float, acquire_timeout_s: float | None = None
    ) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s
        self._timeout_s = timeout_s

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when no words were heard."""
        request = wire.stt_request(
            wav(utterance.pcm, utterance.format), language=utterance.language
        )
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            return await self._ask(request, self._timeout_s)
        except errors.ConnectionLostError:
            left_s = asked_at + self._timeout_s - loop.time()
            if left_s <= 0:
                raise
            return await self._ask(request, left_s)

    async def warm_up(self) -> None:
        """Have a socket opened."""
        self._pool.warm_up()

    async def _ask(self, request: str, timeout_s: float) -> str:
        async with self._pool.lease(self._acquire_timeout_s) as lease:
            try:
                async with asyncio.timeout(timeout_s):
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
