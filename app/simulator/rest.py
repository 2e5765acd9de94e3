"""The provider's REST door: `tts-stream` and `stt`."""

import asyncio
from weakref import WeakKeyDictionary

from app.simulator.exchange import Exchange
from app.simulator.faults import FaultName
from app.simulator.ledger import Record
from app.simulator.stt import is_speech
from app.simulator.tts import BadRequestError, Step, TTSRequest
from app.simulator.websocket import ELSEWHERE
from app.simulator.world import Clock, World

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


class UnauthorizedError(BadRequestError):
    """The key is missing or wrong."""


class RESTChannel:
    """Serve speech requests over HTTP."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._connected: WeakKeyDictionary[object, Clock] = WeakKeyDictionary()

    async def speak(self, exchange: Exchange) -> None:
        """Serve `POST /v1/realtime/tts-stream`."""
        await self._connect(exchange)
        clock = Clock()
        try:
            self._authorize(exchange)
            request = TTSRequest.parse(_payload(exchange))
        except BadRequestError as error:
            await _refuse(exchange, error)
            return
        with self._world.request("tts", "rest", request.text) as record:
            if not await self._refused(exchange, record.faults):
                steps = await self._world.speech(request, record.faults)
                await self._stream(exchange, clock, steps, record)

    async def listen(self, exchange: Exchange) -> None:
        """Serve `POST /v1/realtime/stt`."""
        await self._connect(exchange)
        clock = Clock()
        try:
            self._authorize(exchange)
            speech = is_speech(_payload(exchange))
        except BadRequestError as error:
            await _refuse(exchange, error)
            return
        with self._world.request("stt", "rest") as record:
            if await self._refused(exchange, record.faults):
                return
            await clock.until(self._world.listening_s(record.faults))
            if "drop" in record.faults:
                await _cut_at_once(exchange)
                return
            text = self._world.transcript(record, speech=speech)
            record.sent(len(text.encode()))
            await exchange.answer(200, {"success": True, "data": {"text": text}})

    async def elsewhere(self, exchange: Exchange) -> None:
        """Serve what redirects lead to: note whether a key came along."""
        self._world.ledger.stats.keys_leaked += bool(exchange.header("authorization"))
        await exchange.answer(404, {"code": 404, "message": "Not found"})

    async def _connect(self, exchange: Exchange) -> None:
        """Wait for as long as a new connection takes; all requests on it wait for the same."""
        clock = self._connected.setdefault(exchange.connection, Clock())
        await clock.until(self._world.timing.rest_connect_ms / 1000)

    def _authorize(self, exchange: Exchange) -> None:
        header = exchange.header("authorization")
        key = header.removeprefix(_SCHEME) if header.startswith(_SCHEME) else ""
        if not self._world.config.accepts(key):
            raise UnauthorizedError

    async def _stream(
        self, exchange: Exchange, clock: Clock, steps: list[Step], record: Record
    ) -> None:
        started = False
        for step in steps:
            await clock.until(step.at_s)
            if not started:
                # The provider says WAV, whatever the body is.
                await exchange.start(200, {"content-type": "audio/wav"})
                started = True
            match step.action:
                case "audio":
                    await exchange.write(step.data)
                    record.sent(len(step.data))
                case "end":
                    await exchange.finish()
                case "drop":
                    await exchange.cut()

    async def _refused(self, exchange: Exchange, faults: tuple[FaultName, ...]) -> bool:
        """Carry out the refusal among the faults; tell whether there was one."""
        for fault in faults:
            if fault == "redirect":
                await exchange.answer(307, {"message": "Moved"}, {"location": ELSEWHERE})
                return True
            if fault == "endless_error":
                await _never_end(exchange)
            refusal = _REFUSALS.get(fault)
            if fault == "provider_error":
                refusal = (400, 400, self._world.config.provider_message)
            if refusal is not None:
                status, code, message = refusal
                retry = {"retry-after": str(self._world.config.retry_after_s)}
                headers = retry if fault == "rate_limited" else None
                await exchange.answer(status, {"code": code, "message": message}, headers)
                return True
        return False


async def _refuse(exchange: Exchange, error: BadRequestError) -> None:
    if isinstance(error, UnauthorizedError):
        await exchange.answer(401, {"code": 401, "message": "Invalid API key"})
    else:
        await exchange.answer(400, {"code": 400, "message": str(error)})


def _payload(exchange: Exchange) -> dict[str, object]:
    try:
        return exchange.json()
    except ValueError:
        raise BadRequestError("The body must be a JSON object") from None


async def _cut_at_once(exchange: Exchange) -> None:
    await exchange.start(200, {"content-type": "application/json"})
    await exchange.cut()


async def _never_end(exchange: Exchange) -> None:
    await exchange.start(503, {"content-type": "application/json"})
    await exchange.write(b'{"code":503,"message":"')
    while True:
        await exchange.write(b"Service unavailable ")
        await asyncio.sleep(_DRIP_S)
