"""The provider's REST door: `tts-stream` and `stt`."""

import asyncio
from weakref import WeakKeyDictionary

from app.simulator.exchange import HTTPExchange
from app.simulator.faults import FaultName
from app.simulator.request_log import RequestRecord
from app.simulator.state import RequestClock, SimulatorState
from app.simulator.stt import contains_speech
from app.simulator.tts import InvalidRequestError, StreamStep, TTSRequest
from app.simulator.websocket import REDIRECT_TARGET

_SCHEME = "Token "
_DRIP_S = 0.1  # between two pieces of a body that never ends

_REFUSALS: dict[FaultName, tuple[int, int, str]] = {
    "unauthorized": (401, 401, "Invalid API key"),
    "no_funds": (403, 403, "insufficient funds"),
    "rate_limited": (429, 429, "Too many requests"),
    "quota": (429, 10_429, "usage limit reached"),
    "unavailable": (503, 503, "Service unavailable"),
}
"""Fault to status, code in the body, and message."""


class UnauthorizedError(InvalidRequestError):
    """The key is missing or wrong."""


class RESTEndpoints:
    """Serve speech requests over HTTP."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._connected: WeakKeyDictionary[object, RequestClock] = WeakKeyDictionary()

    async def speak(self, exchange: HTTPExchange) -> None:
        """Serve `POST /v1/realtime/tts-stream`."""
        await self._connect(exchange)
        clock = RequestClock()
        try:
            self._authorize(exchange)
            request = TTSRequest.parse(_payload(exchange))
        except InvalidRequestError as error:
            await _refuse(exchange, error)
            return
        with self._state.request("tts", "rest", request.text) as record:
            if not await self._refused(exchange, record.faults):
                steps = await self._state.speech(request, record.faults)
                await self._stream(exchange, clock, steps, record)

    async def listen(self, exchange: HTTPExchange) -> None:
        """Serve `POST /v1/realtime/stt`."""
        await self._connect(exchange)
        clock = RequestClock()
        try:
            self._authorize(exchange)
            speech = contains_speech(_payload(exchange))
        except InvalidRequestError as error:
            await _refuse(exchange, error)
            return
        with self._state.request("stt", "rest") as record:
            if await self._refused(exchange, record.faults):
                return
            await clock.sleep_until(self._state.listening_s(record.faults))
            if "drop" in record.faults:
                await _cut_at_once(exchange)
                return
            text = self._state.transcript(record, speech=speech)
            record.count_sent(len(text.encode()))
            await exchange.answer(200, {"success": True, "data": {"text": text}})

    async def redirect_target(self, exchange: HTTPExchange) -> None:
        """Serve what redirects lead to: note whether a key came along."""
        self._state.request_log.stats.keys_leaked += bool(exchange.header("authorization"))
        await exchange.answer(404, {"code": 404, "message": "Not found"})

    async def _connect(self, exchange: HTTPExchange) -> None:
        """Wait for as long as a new connection takes; all requests on it wait for the same."""
        clock = self._connected.setdefault(exchange.connection, RequestClock())
        await clock.sleep_until(self._state.timing.rest_connect_ms / 1000)

    def _authorize(self, exchange: HTTPExchange) -> None:
        header = exchange.header("authorization")
        key = header.removeprefix(_SCHEME) if header.startswith(_SCHEME) else ""
        if not self._state.config.accepts(key):
            raise UnauthorizedError

    async def _stream(
        self,
        exchange: HTTPExchange,
        clock: RequestClock,
        steps: list[StreamStep],
        record: RequestRecord,
    ) -> None:
        started = False
        for step in steps:
            await clock.sleep_until(step.at_s)
            if not started:
                # The provider says WAV, whatever the body is.
                await exchange.start(200, {"content-type": "audio/wav"})
                started = True
            match step.action:
                case "audio":
                    await exchange.write(step.data)
                    record.count_sent(len(step.data))
                case "end":
                    await exchange.finish()
                case "drop":
                    await exchange.cut()

    async def _refused(self, exchange: HTTPExchange, faults: tuple[FaultName, ...]) -> bool:
        """Carry out the refusal among the faults; tell whether there was one."""
        for fault in faults:
            if fault == "redirect":
                await exchange.answer(307, {"message": "Moved"}, {"location": REDIRECT_TARGET})
                return True
            if fault == "endless_error":
                await _never_end(exchange)
            refusal = _REFUSALS.get(fault)
            if fault == "provider_error":
                refusal = (400, 400, self._state.config.provider_message)
            if refusal is not None:
                status, code, message = refusal
                retry = {"retry-after": str(self._state.config.retry_after_s)}
                headers = retry if fault == "rate_limited" else None
                await exchange.answer(status, {"code": code, "message": message}, headers)
                return True
        return False


async def _refuse(exchange: HTTPExchange, error: InvalidRequestError) -> None:
    if isinstance(error, UnauthorizedError):
        await exchange.answer(401, {"code": 401, "message": "Invalid API key"})
    else:
        await exchange.answer(400, {"code": 400, "message": str(error)})


def _payload(exchange: HTTPExchange) -> dict[str, object]:
    try:
        return exchange.json()
    except ValueError:
        raise InvalidRequestError("The body must be a JSON object") from None


async def _cut_at_once(exchange: HTTPExchange) -> None:
    await exchange.start(200, {"content-type": "application/json"})
    await exchange.cut()


async def _never_end(exchange: HTTPExchange) -> None:
    await exchange.start(503, {"content-type": "application/json"})
    await exchange.write(b'{"code":503,"message":"')
    while True:
        await exchange.write(b"Service unavailable ")
        await asyncio.sleep(_DRIP_S)
