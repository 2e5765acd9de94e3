"""RESTEndpoints: the provider's `tts-stream` and `stt` over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.simulator.faults import FaultName
from app.simulator.http_messages import (
    AbortedResponse,
    RequestContext,
    UTF8JSONResponse,
    empty_body,
    open_record,
    read_json_object,
)
from app.simulator.pacing import RequestClock
from app.simulator.request_log import RequestRecord
from app.simulator.state import SimulatorState
from app.simulator.stt import contains_speech
from app.simulator.tts import InvalidRequestError, StreamStep, TTSRequest
from app.simulator.websocket import REDIRECT_TARGET

_SCHEME = "Token "
_DRIP_INTERVAL_S = 0.1
"""Between two pieces of a body that never ends."""

_REJECTIONS: dict[FaultName, tuple[int, int, str]] = {
    "unauthorized": (401, 401, "Invalid API key"),
    "no_funds": (403, 403, "insufficient funds"),
    "rate_limited": (429, 429, "Too many requests"),
    "quota": (429, 10_429, "usage limit reached"),
    "unavailable": (503, 503, "Service unavailable"),
}
"""Fault to HTTP status, code in the body, and message."""


class UnauthorizedError(InvalidRequestError):
    """The key is missing or wrong."""


class RESTEndpoints:
    """Serve speech requests over HTTP."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state
        self._connected: WeakKeyDictionary[object, RequestClock] = WeakKeyDictionary()

    async def synthesize(self, request: Request) -> Response:
        """Serve `POST /v1/realtime/tts-stream`: return audio as it is synthesized."""
        await self._wait_for_connection(request)
        clock = RequestClock()
        try:
            self._authorize(request)
            wanted = TTSRequest.parse(await _payload(request))
        except InvalidRequestError as error:
            return _rejection_of(error)
        record = open_record(request, self._state.record_request("tts", "rest", wanted.text))
        if (rejection := self._rejection(record.faults)) is not None:
            return rejection
        steps = await self._state.plan_speech(wanted, record.faults)
        await clock.sleep_until(steps[0].at_s)  # the status line comes with the first audio
        response = AbortedResponse if steps[-1].action == "drop" else StreamingResponse
        # The provider says WAV, whatever the body is.
        return response(stream_steps(steps, clock, record), media_type="audio/wav")

    async def transcribe(self, request: Request) -> Response:
        """Serve `POST /v1/realtime/stt`: return the next transcript."""
        await self._wait_for_connection(request)
        clock = RequestClock()
        try:
            self._authorize(request)
            has_speech = contains_speech(await _payload(request))
        except InvalidRequestError as error:
            return _rejection_of(error)
        record = open_record(request, self._state.record_request("stt", "rest"))
        if (rejection := self._rejection(record.faults)) is not None:
            return rejection
        await clock.sleep_until(self._state.transcription_delay_s(record.faults))
        if "drop" in record.faults:
            return AbortedResponse(empty_body(), media_type="application/json")
        text = self._state.transcribe(record, has_speech=has_speech)
        record.count_sent(len(text.encode()))
        return UTF8JSONResponse({"success": True, "data": {"text": text}})

    async def redirect_target(self, request: Request) -> Response:
        """Serve what redirects lead to; count a key that came along as leaked."""
        has_key = bool(request.headers.get("authorization"))
        self._state.request_log.stats.keys_leaked += has_key
        return UTF8JSONResponse({"code": 404, "message": "Not found"}, 404)

    async def _wait_for_connection(self, request: Request) -> None:
        """Wait until the connection would be established; all requests on it wait for the same."""
        connection = RequestContext.of(request.scope).stream.connection
        clock = self._connected.setdefault(connection, RequestClock())
        await clock.sleep_until(self._state.timing.rest_connect_ms / 1000)

    def _authorize(self, request: Request) -> None:
        header = request.headers.get("authorization", "")
        key = header.removeprefix(_SCHEME) if header.startswith(_SCHEME) else ""
        if not self._state.config.accepts(key):
            raise UnauthorizedError("Invalid API key")

    def _rejection(self, faults: Sequence[FaultName]) -> Response | None:
        """Return the error response that the faults of a request demand, if they do.

        The three that are not in the table need more than a status, a code and a message.
        """
        for fault in faults:
            if fault == "redirect":
                return UTF8JSONResponse({"message": "Moved"}, 307, {"location": REDIRECT_TARGET})
            if fault == "endless_error":
                return StreamingResponse(endless_error(), 503, media_type="application/json")
            if fault == "provider_error":
                return _error_response(400, 400, self._state.config.provider_message)
            if fault in _REJECTIONS:
                response = _error_response(*_REJECTIONS[fault])
                if fault == "rate_limited":
                    response.headers["retry-after"] = str(self._state.config.retry_after_s)
                return response
        return None


async def stream_steps(
    steps: Sequence[StreamStep], clock: RequestClock, record: RequestRecord
) -> AsyncIterator[bytes]:
    """Yield the audio of a plan, each chunk when it is due."""
    for step in steps:
        await clock.sleep_until(step.at_s)
        if step.action == "audio":
            yield step.data
            record.count_sent(len(step.data))


async def endless_error() -> AsyncIterator[bytes]:
    """Yield the body of an error that never ends."""
    yield b'{"code":503,"message":"'
    while True:
        yield b"Service unavailable "
        await asyncio.sleep(_DRIP_INTERVAL_S)


async def _payload(request: Request) -> dict[str, object]:
    try:
        return await read_json_object(request)
    except ValueError:
        raise InvalidRequestError("The body must be a JSON object") from None


def _rejection_of(error: InvalidRequestError) -> Response:
    status = 401 if isinstance(error, UnauthorizedError) else 400
    return _error_response(status, status, str(error))


def _error_response(status: int, code: int, message: str) -> Response:
    return UTF8JSONResponse({"code": code, "message": message}, status)
