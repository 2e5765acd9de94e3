"""HTTP/1.1 of uvicorn, with the deadlines that it lacks.

uvicorn waits for a request for ever, and at a close for a reader that may not read. Here a
connection has a time to bring a whole request, and one to be answered, and is aborted after it.
"""

import asyncio
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.serving.admission import Admission
from app.serving.websocket_protocol import BoundedWebSocketProtocol

MAX_HEAD_BYTES = 32 * 1024
"""Longest head of a request: a token of 4 KB and a browser's cookies fit in several times."""

UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)


class BoundedHttpProtocol(H11Protocol):
    """One connection, until it is upgraded to a WebSocket."""

    admission: ClassVar[Admission]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in, or refuse it."""
        super().connection_made(transport)
        if self.admission.admit(self, self.loop.time()):
            self._set_deadline(self.admission.limits.handshake_timeout_s)
        else:
            transport.write(UNAVAILABLE)
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._cancel_deadline()
        self.admission.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; the first bytes of the next request start its time."""
        if self.transport.is_closing():
            return
        if self._deadline is None:
            self._set_deadline(self.admission.limits.handshake_timeout_s)
        super().data_received(data)

    def handle_events(self) -> None:
        """Handle what was parsed; a whole request has a time to be answered."""
        cycle = self.cycle
        super().handle_events()
        if self.cycle is not cycle and not self._upgraded and not self.cycle.response_complete:
            self._set_deadline(self.admission.limits.request_timeout_s)

    def on_response_complete(self) -> None:
        """Wait for the next request; the keep-alive timeout of uvicorn bounds that."""
        self._cancel_deadline()
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection to the WebSocket protocol, which has deadlines of its own."""
        self._cancel_deadline()
        self._upgraded = True
        super().handle_websocket_upgrade(event)
        websocket = cast(BoundedWebSocketProtocol, self.transport.get_protocol())
        self.admission.upgrade(self, websocket)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        self.admission.refuse("invalid-request", self.loop.time())
        super().send_400_response(msg)
        self._abort_later()

    def shutdown(self) -> None:
        """Close, and abort if the client does not read what is left."""
        super().shutdown()
        self._abort_later()

    def abort(self) -> None:
        """Close at once."""
        if not self._upgraded:
            self.transport.abort()

    def overflow(self) -> None:
        """Close because too much is buffered."""
        self.abort()

    def _close(self) -> None:
        self.transport.close()
        self._abort_later()

    def _abort_later(self) -> None:
        self.loop.call_later(self.admission.limits.close_timeout_s, self.abort)

    def _set_deadline(self, timeout_s: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(timeout_s, self._expire)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        self.admission.refuse("request-timeout", self.loop.time())
        self.abort()


def bounded_protocols(
    admission: Admission,
) -> tuple[type[BoundedHttpProtocol], type[BoundedWebSocketProtocol]]:
    """Return the protocol classes of one server: uvicorn makes the objects itself."""
    http = type("AdmittedHttpProtocol", (BoundedHttpProtocol,), {"admission": admission})
    websocket = type(
        "AdmittedWebSocketProtocol", (BoundedWebSocketProtocol,), {"admission": admission}
    )
    return http, websocket
