"""OpenAIAudio: a second speech provider, as OpenAI's audio API and servers like it respond."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.audio import AudioFormat
from app.simulator.faults import FaultName
from app.simulator.http_messages import (
    AbortedResponse,
    UTF8JSONResponse,
    empty_body,
    open_record,
    read_json_object,
)
from app.simulator.pacing import RequestClock
from app.simulator.rest import endless_error, stream_steps
from app.simulator.state import SimulatorState
from app.simulator.stt import wav_contains_speech
from app.simulator.tts import InvalidRequestError, TTSRequest
from app.simulator.websocket import REDIRECT_TARGET

BASE_PATH = "/v1"
SPEECH_PATH = f"{BASE_PATH}/audio/speech"
TRANSCRIPTIONS_PATH = f"{BASE_PATH}/audio/transcriptions"

PCM_FORMAT = AudioFormat("pcm_s16le", 24_000)
"""What `pcm` means: PCM16 at 24 kHz without a header."""

_MAX_INPUT_CHARACTERS = 4096
_SCHEME = "Bearer "

_REJECTIONS: dict[FaultName, tuple[int, str, str]] = {
    "unauthorized": (401, "invalid_api_key", "Incorrect API key provided"),
    "no_funds": (429, "insufficient_quota", "You exceeded your current quota"),
    "rate_limited": (429, "rate_limit_exceeded", "Rate limit reached"),
    "quota": (429, "insufficient_quota", "You exceeded your current quota"),
    "unavailable": (503, "server_error", "The server is overloaded"),
}
"""Fault to HTTP status, code and message."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form."""

    data: bytes
    filename: str | None


class OpenAIAudio:
    """Serve `POST /v1/audio/speech` and `POST /v1/audio/transcriptions`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def synthesize(self, request: Request) -> Response:
        """Return audio as it is synthesized; of all formats only `pcm`."""
        clock = RequestClock()
        if not self._is_authorized(request):
            return _error_response(*_REJECTIONS["unauthorized"])
        try:
            wanted = _parse_speech(await read_json_object(request))
        except (ValueError, InvalidRequestError) as error:
            return _error_response(400, "invalid_request_error", str(error))
        record = open_record(request, self._state.record_request("tts", "openai", wanted.text))
        if (rejection := self._rejection(record.faults)) is not None:
            return rejection
        steps = await self._state.plan_speech(wanted, record.faults)
        await clock.sleep_until(steps[0].at_s)
        response = AbortedResponse if steps[-1].action == "drop" else StreamingResponse
        return response(stream_steps(steps, clock, record), media_type="audio/pcm")

    async def transcribe(self, request: Request) -> Response:
        """Return the next transcript."""
        clock = RequestClock()
        if not self._is_authorized(request):
            return _error_response(*_REJECTIONS["unauthorized"])
        try:
            has_speech = _parse_utterance(await _form(request))
        except InvalidRequestError as error:
            return _error_response(400, "invalid_request_error", str(error))
        record = open_record(request, self._state.record_request("stt", "openai"))
        if (rejection := self._rejection(record.faults)) is not None:
            return rejection
        await clock.sleep_until(self._state.transcription_delay_s(record.faults))
        if "drop" in record.faults:
            return AbortedResponse(empty_body(), media_type="application/json")
        text = self._state.transcribe(record, has_speech=has_speech)
        record.count_sent(len(text.encode()))
        return UTF8JSONResponse({"text": text})

    def _is_authorized(self, request: Request) -> bool:
        header = request.headers.get("authorization", "")
        key = header.removeprefix(_SCHEME) if header.startswith(_SCHEME) else ""
        return self._state.config.accepts(key)

    def _rejection(self, faults: Sequence[FaultName]) -> Response | None:
        """Return the error response that the faults of a request demand, if they do."""
        for fault in faults:
            if fault == "redirect":
                return UTF8JSONResponse({"error": {}}, 307, {"location": REDIRECT_TARGET})
            if fault == "endless_error":
                return StreamingResponse(endless_error(), 503, media_type="application/json")
            if fault == "provider_error":
                return _error_response(400, "server_error", self._state.config.provider_message)
            if fault in _REJECTIONS:
                response = _error_response(*_REJECTIONS[fault])
                if fault == "rate_limited":
                    response.headers["retry-after"] = str(self._state.config.retry_after_s)
                return response
        return None


def _parse_speech(body: dict[str, Any]) -> TTSRequest:
    """Check a request as the API does. Raises `InvalidRequestError`."""
    for name in ("model", "voice"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise InvalidRequestError(f"Missing required parameter: '{name}'.")
    text = body.get("input")
    if not isinstance(text, str) or not 1 <= len(text) <= _MAX_INPUT_CHARACTERS:
        raise InvalidRequestError(f"input must have 1 to {_MAX_INPUT_CHARACTERS} characters")
    if body.get("response_format") != "pcm":
        raise InvalidRequestError("the simulator makes response_format pcm alone")
    return TTSRequest(text, PCM_FORMAT)


def _parse_utterance(form: dict[str, Part]) -> bool:
    """Check a request as the API does; return whether somebody speaks in the file."""
    if not form.get("model", Part(b"", None)).data:
        raise InvalidRequestError("Missing required parameter: 'model'.")
    file = form.get("file")
    if file is None or not file.filename:
        raise InvalidRequestError("Missing required parameter: 'file'.")
    return wav_contains_speech(file.data)


async def _form(request: Request) -> dict[str, Part]:
    """Read a `multipart/form-data` body. Raises `InvalidRequestError`."""
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        raise InvalidRequestError("the body must be multipart/form-data")
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + await request.body())
    parts: dict[str, Part] = {}
    for each in message.iter_parts() if message.is_multipart() else ():
        name = each.get_param("name", header="content-disposition")
        data = each.get_payload(decode=True)
        if isinstance(name, str) and isinstance(data, bytes):
            parts[name] = Part(data, each.get_filename())
    return parts


def _error_response(status: int, code: str, message: str) -> Response:
    error = {"message": message, "type": code, "code": code, "param": None}
    return UTF8JSONResponse({"error": error}, status)
