"""The sending half of a connection: events become numbered wire messages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.api.messages import Framing
from app.api.serializer import serialize
from app.api.session_config import SessionConfig
from app.api.unsent import ClientBacklog
from app.pipeline import events
from app.timeouts import ReusableTimeout

SEND_TIMEOUT_S = 40.0
"""Longest wait for a client that has stopped reading. The pings of the server find it in the same
time (20 s between two, 20 s for the pong), but report it only when all that was written has been
sent."""


class EventSender:
    """Sends events in the order of their numbers.

    Waits while the client reads slowly. Nothing is queued here: memory stays bounded, and the
    provider is slowed down. For a client that has stopped reading, `abort` is called, which must
    end the session: otherwise it would keep provider sockets from other sessions.
    """

    def __init__(
        self,
        websocket: WebSocket,
        config: SessionConfig,
        abort: Callable[[], None],
        backlog: ClientBacklog,
    ) -> None:
        self.config = config
        """The configuration in force."""
        self._websocket = websocket
        self._abort = abort
        self._backlog = backlog
        self._timeout = ReusableTimeout()
        self._send_lock = asyncio.Lock()
        self._seq = 0
        self._old_framing = config.framing
        """The framing of turns up to `_old_framing_turn`; later turns have the one in force."""
        self._old_framing_turn = 0

    def configure(self, config: SessionConfig, *, after_turn: int) -> None:
        """Put `config` in force; turns up to `after_turn` keep the framing that they began with."""
        if after_turn > self._old_framing_turn:
            self._old_framing, self._old_framing_turn = self.config.framing, after_turn
        self.config = config

    async def emit(self, event: events.Event) -> None:
        """Send an event. Raises `ClientGoneError`."""
        if isinstance(event, events.AudioChunk) and self._framing_of(event.turn) == "binary":
            async with self._send_lock:
                await self._write(self._websocket.send_bytes(event.data), len(event.data))
        else:
            await self.send(serialize(event, self.config.style.language))

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message with the next number. Raises `ClientGoneError`."""
        async with self._send_lock:
            message["seq"] = self._seq + 1
            text = orjson.dumps(message).decode()
            await self._write(self._websocket.send_text(text), len(text))
            self._seq += 1

    def close(self) -> None:
        """Cancel the timer."""
        self._timeout.close()

    def _framing_of(self, turn: int) -> Framing:
        return self._old_framing if turn <= self._old_framing_turn else self.config.framing

    async def _write(self, sending: Awaitable[None], size: int) -> None:
        self._backlog.begin_send(size)
        try:
            await self._timeout.wait_for(sending, SEND_TIMEOUT_S)
        except TimeoutError as error:
            self._abort()
            raise events.ClientGoneError from error
        except (WebSocketDisconnect, RuntimeError) as error:
            # starlette raises RuntimeError for a send after the close
            raise events.ClientGoneError from error
        finally:
            self._backlog.end_send()
