"""The provider's door to its socket: who is let in, and how the others are turned away."""

import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from app.simulator.faults import FaultName
from app.simulator.provider_session import ProviderSession
from app.simulator.state import RequestClock, SimulatorState

PATH = "/v1/realtime/ws"
REDIRECT_TARGET = "/elsewhere"
"""Where redirects lead; a key that arrives there has leaked."""

_REFUSALS: dict[FaultName, HTTPStatus] = {
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
    "redirect": HTTPStatus.FOUND,
}
_CLOSES: dict[FaultName, tuple[int, str]] = {
    "unauthorized": (4001, "Invalid API key"),
    "no_funds": (4003, "Insufficient funds"),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """What was decided about a socket when it was opened."""

    throttled: bool
    close: tuple[int, str] | None


class SocketServer:
    """Decide who comes in, and talk to those who do."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._admitted: WeakKeyDictionary[ServerConnection, Admission] = WeakKeyDictionary()

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a handshake; None lets it succeed."""
        await RequestClock().sleep_until(self._state.timing.handshake_ms / 1000)
        path = urlsplit(request.path).path
        if path == REDIRECT_TARGET and _key(request):
            self._state.request_log.stats.keys_leaked += 1
        if path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "Not found\n")
        throttled, refused = self._throttle()
        fault = next(iter(self._state.draw("websocket", "connect")), None)
        refusal = _REFUSALS.get(fault) if fault else None
        if refused or refusal is not None:
            return self._refuse(connection, refusal or HTTPStatus.TOO_MANY_REQUESTS)
        if not self._state.config.accepts(_key(request)):
            fault = "unauthorized"
        self._state.throttle_window.open(time.monotonic())
        self._admitted[connection] = Admission(throttled, _CLOSES.get(fault) if fault else None)
        return None

    async def talk(self, connection: ServerConnection) -> None:
        """Serve one socket from its opening to its close."""
        admission = self._admitted.pop(connection)
        stats = self._state.request_log.stats
        number = stats.opened()
        try:
            if admission.close is not None:
                await connection.close(*admission.close)
                return
            await ProviderSession(self._state, connection, number, admission.throttled).run()
        except Exception:
            _log.exception("socket %d: the simulator failed", number)
            raise
        finally:
            stats.closed()

    def _throttle(self) -> tuple[bool, bool]:
        """Tell whether a socket opened now is beyond the limit, and whether it is refused."""
        throttle = self._state.config.throttle
        if throttle is None:
            return False, False
        now_s = time.monotonic()
        exceeds = self._state.throttle_window.exceeds(now_s, throttle.limit, throttle.window_s)
        self._state.request_log.stats.sockets_throttled += exceeds
        return exceeds, exceeds and throttle.mode == "refused"

    def _refuse(self, connection: ServerConnection, status: HTTPStatus) -> Response:
        self._state.request_log.stats.sockets_refused += 1
        response = connection.respond(status, f"{status.phrase}\n")
        if status is HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(self._state.config.retry_after_s)
        if status is HTTPStatus.FOUND:
            response.headers["Location"] = REDIRECT_TARGET
        return response


def _key(request: Request) -> str:
    """Find the key in the header or in the query; empty when there is none."""
    in_query = parse_qs(urlsplit(request.path).query).get("api_key", [""])[0]
    return request.headers.get("X-Api-Key", "") or in_query
