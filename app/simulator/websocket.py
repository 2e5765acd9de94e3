"""SocketServer: the provider's WebSocket endpoint, which admits clients or rejects them."""

import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from app.simulator.faults import FaultName
from app.simulator.pacing import RequestClock
from app.simulator.provider_session import ProviderSession
from app.simulator.state import SimulatorState

PATH = "/v1/realtime/ws"
REDIRECT_TARGET = "/elsewhere"
"""Where redirects lead; a key that arrives there has leaked."""

_REJECTIONS: dict[FaultName, HTTPStatus] = {
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "redirect": HTTPStatus.FOUND,
}
"""Faults that let the handshake fail."""
_CLOSES: dict[FaultName, tuple[int, str]] = {
    "unauthorized": (4001, "Invalid API key"),
    "no_funds": (4003, "Insufficient funds"),
}
"""Faults that close the socket right after the handshake: close code and reason."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """What was decided about a socket during its handshake."""

    throttled: bool
    """Whether it was opened beyond the throttle's limit."""
    close: tuple[int, str] | None
    """Close code and reason, if it is closed at once."""


class SocketServer:
    """Decide which handshakes succeed, and serve the sockets that are open."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._admissions: WeakKeyDictionary[ServerConnection, Admission] = WeakKeyDictionary()

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the error response to a handshake; None lets it succeed."""
        await RequestClock().sleep_until(self._state.timing.handshake_ms / 1000)
        path = urlsplit(request.path).path
        if path == REDIRECT_TARGET and _api_key(request):
            self._state.request_log.stats.keys_leaked += 1
        if path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "Not found\n")
        throttled, refused = self._apply_throttle()
        fault = next(iter(self._state.draw_faults("websocket", "connect")), None)
        status = _REJECTIONS.get(fault) if fault else None
        if refused or status is not None:
            return self._rejection(connection, status or HTTPStatus.TOO_MANY_REQUESTS)
        if not self._state.config.accepts(_api_key(request)):
            fault = "unauthorized"
        self._state.throttle_window.count(time.monotonic())
        self._admissions[connection] = Admission(throttled, _CLOSES.get(fault) if fault else None)
        return None

    async def serve(self, connection: ServerConnection) -> None:
        """Serve one socket from its opening to its close."""
        admission = self._admissions.pop(connection)
        stats = self._state.request_log.stats
        number = stats.socket_opened()
        try:
            if admission.close is not None:
                await connection.close(*admission.close)
                return
            await ProviderSession(self._state, connection, number, admission.throttled).run()
        except Exception:
            _log.exception("socket %d: the simulator failed", number)
            raise
        finally:
            stats.socket_closed()

    def _apply_throttle(self) -> tuple[bool, bool]:
        """Return whether one more socket is beyond the limit, and whether it is refused."""
        throttle = self._state.config.throttle
        if throttle is None:
            return False, False
        is_full = self._state.throttle_window.is_full(time.monotonic(), throttle)
        self._state.request_log.stats.sockets_throttled += is_full
        return is_full, is_full and throttle.mode == "refused"

    def _rejection(self, connection: ServerConnection, status: HTTPStatus) -> Response:
        self._state.request_log.stats.sockets_refused += 1
        response = connection.respond(status, f"{status.phrase}\n")
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(self._state.config.retry_after_s)
        if status is HTTPStatus.FOUND:
            response.headers["Location"] = REDIRECT_TARGET
        return response


def _api_key(request: Request) -> str:
    """Return the key from the header or the query; empty when there is none."""
    in_query = parse_qs(urlsplit(request.path).query).get("api_key", [""])[0]
    return request.headers.get("X-Api-Key", "") or in_query
