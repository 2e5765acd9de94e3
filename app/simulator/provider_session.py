"""ProviderSession: what is said on one of the provider's sockets, one request after another."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from app.simulator.faults import FaultName
from app.simulator.request_log import RequestRecord
from app.simulator.state import RequestClock, SimulatorState
from app.simulator.stt import contains_speech
from app.simulator.tts import InvalidRequestError, StreamStep, TTSRequest

_GREETINGS = {"info": "Connected to realtime WebSocket server", "ack": "Connected"}
_ACK = "Real time text to speach connection establesh"  # the provider's own spelling
_END = "End of TTS stream"
_CLOSES: dict[FaultName, tuple[int, str]] = {
    "unauthorized": (4001, "Invalid API key"),
    "unavailable": (1001, "Going away"),
}
_ERRORS: dict[FaultName, str] = {
    "no_funds": "insufficient funds",
    "quota": "usage limit reached",
}


class ProviderSession:
    """Serve the requests of one socket in their order, until either side leaves."""

    def __init__(
        self, state: SimulatorState, connection: ServerConnection, number: int, throttled: bool
    ) -> None:
        self._state = state
        self._connection = connection
        self._number = number
        self._throttled = throttled

    async def run(self) -> None:
        """Talk until the socket is closed; work for a client that is gone stops at once."""
        async with asyncio.TaskGroup() as group:
            name = f"sim-socket-{self._number}"
            work = group.create_task(self._work(), name=name)
            await self._connection.wait_closed()
            work.cancel()

    async def _work(self) -> None:
        greeting = self._state.config.greeting
        try:
            await self._control(greeting, _GREETINGS[greeting])
            while True:
                async with asyncio.timeout(self._state.config.idle_close_s):
                    frame = await self._connection.recv()
                await self._answer(frame)
        except TimeoutError:
            await self._connection.close(1000, "Idle")
        except ConnectionClosed:
            return

    async def _answer(self, frame: str | bytes) -> None:
        try:
            kind, payload = _parse(frame)
            if kind == "tts":
                await self._speak(TTSRequest.parse(payload))
            else:
                await self._listen(payload)
        except InvalidRequestError as error:
            await self._control("error", str(error))

    async def _speak(self, request: TTSRequest) -> None:
        clock = RequestClock()
        with self._state.request(
            "tts",
            "websocket",
            request.text,
            socket=self._number,
            throttled=self._throttled,
        ) as record:
            if await self._refused(record.faults):
                return
            await self._control("ack", _ACK)
            for step in await self._state.speech(request, record.faults):
                await clock.sleep_until(step.at_s)
                await self._take(step, record)

    async def _take(self, step: StreamStep, record: RequestRecord) -> None:
        match step.action:
            case "audio":
                await self._connection.send(step.data)
                record.count_sent(len(step.data))
            case "end":
                await self._control("end", _END)
            case "drop":
                self._connection.transport.abort()

    async def _listen(self, payload: Mapping[str, Any]) -> None:
        clock = RequestClock()
        speech = contains_speech(payload)
        with self._state.request("stt", "websocket", socket=self._number) as record:
            if await self._refused(record.faults):
                return
            await clock.sleep_until(self._state.listening_s(record.faults))
            if "drop" in record.faults:
                self._connection.transport.abort()
                return
            text = self._state.transcript(record, speech=speech)
            answer = text
            if self._state.config.wrap_transcript:
                message = {"type": "transcription", "payload": {"text": text}}
                answer = json.dumps(message, ensure_ascii=False)
            await self._connection.send(answer)
            record.count_sent(len(answer.encode()))

    async def _refused(self, faults: tuple[FaultName, ...]) -> bool:
        """Carry out the refusal among the faults; tell whether there was one."""
        for fault in faults:
            if fault in _CLOSES:
                await self._connection.close(*_CLOSES[fault])
                return True
            message = _ERRORS.get(fault)
            if fault == "provider_error":
                message = self._state.config.provider_message
            if message is not None:
                await self._control("error", message)
                return True
        return False

    async def _control(self, kind: str, message: str) -> None:
        await self._connection.send(json.dumps({"type": kind, "payload": {"message": message}}))


def _parse(frame: str | bytes) -> tuple[str, Mapping[str, Any]]:
    """Read a request; raises `InvalidRequestError`."""
    if isinstance(frame, bytes):
        raise InvalidRequestError("Binary messages are not supported")
    try:
        message = json.loads(frame)
    except ValueError:
        raise InvalidRequestError("Invalid JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("payload"), dict):
        raise InvalidRequestError("A message has a type and a payload")
    if message.get("type") not in ("tts", "stt"):
        raise InvalidRequestError("Unknown message type")
    return message["type"], message["payload"]
