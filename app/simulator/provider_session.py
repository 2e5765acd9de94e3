"""ProviderSession: the requests on one of the provider's sockets, one after another."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from app.simulator.faults import FaultName
from app.simulator.pacing import RequestClock
from app.simulator.request_log import RequestRecord
from app.simulator.state import SimulatorState
from app.simulator.stt import contains_speech
from app.simulator.tts import InvalidRequestError, StreamStep, TTSRequest

_GREETINGS = {"info": "Connected to realtime WebSocket server", "ack": "Connected"}
_ACK = "Real time text to speach connection establesh"  # the provider's own spelling
_END = "End of TTS stream"
_CLOSES: dict[FaultName, tuple[int, str]] = {
    "unauthorized": (4001, "Invalid API key"),
    "unavailable": (1001, "Going away"),
}
"""Faults that close the socket: close code and reason."""
_ERRORS: dict[FaultName, str] = {
    "no_funds": "insufficient funds",
    "quota": "usage limit reached",
}
"""Faults that send an error and leave the socket open."""


class ProviderSession:
    """Serve the requests of one socket in their order, until either side leaves."""

    def __init__(
        self, state: SimulatorState, connection: ServerConnection, number: int, throttled: bool
    ) -> None:
        """Take the socket's number, from 1, and whether it was opened beyond the throttle."""
        self._state = state
        self._connection = connection
        self._number = number
        self._throttled = throttled

    async def run(self) -> None:
        """Serve until the socket is closed; work for a client that has left is cancelled."""
        async with asyncio.TaskGroup() as group:
            name = f"sim-socket-{self._number}"
            work = group.create_task(self._serve_requests(), name=name)
            await self._connection.wait_closed()
            work.cancel()

    async def _serve_requests(self) -> None:
        greeting = self._state.config.greeting
        try:
            await self._send_control(greeting, _GREETINGS[greeting])
            while True:
                async with asyncio.timeout(self._state.config.idle_close_s):
                    frame = await self._connection.recv()
                await self._serve_request(frame)
        except TimeoutError:
            await self._connection.close(1000, "Idle")
        except ConnectionClosed:
            return

    async def _serve_request(self, frame: str | bytes) -> None:
        try:
            kind, payload = _parse(frame)
            if kind == "tts":
                await self._synthesize(TTSRequest.parse(payload))
            else:
                await self._transcribe(payload)
        except InvalidRequestError as error:
            await self._send_control("error", str(error))

    async def _synthesize(self, request: TTSRequest) -> None:
        """Send an ack and the audio; a rejection comes in place of the ack."""
        clock = RequestClock()
        with self._state.record_request(
            "tts",
            "websocket",
            request.text,
            socket=self._number,
            throttled=self._throttled,
        ) as record:
            if await self._reject(record.faults):
                return
            await self._send_control("ack", _ACK)
            for step in await self._state.plan_speech(request, record.faults):
                await clock.sleep_until(step.at_s)
                await self._send_step(step, record)

    async def _send_step(self, step: StreamStep, record: RequestRecord) -> None:
        match step.action:
            case "audio":
                await self._connection.send(step.data)
                record.count_sent(len(step.data))
            case "end":
                await self._send_control("end", _END)
            case "drop":
                self._connection.transport.abort()

    async def _transcribe(self, payload: Mapping[str, Any]) -> None:
        """Send the next transcript.

        Whether the utterance has speech is found out first: a bad one leaves no record.
        """
        clock = RequestClock()
        has_speech = contains_speech(payload)
        with self._state.record_request("stt", "websocket", socket=self._number) as record:
            if await self._reject(record.faults):
                return
            await clock.sleep_until(self._state.transcription_delay_s(record.faults))
            if "drop" in record.faults:
                self._connection.transport.abort()
                return
            frame = text = self._state.transcribe(record, has_speech=has_speech)
            if self._state.config.wrap_transcript:
                message = {"type": "transcription", "payload": {"text": text}}
                frame = json.dumps(message, ensure_ascii=False)
            await self._connection.send(frame)
            record.count_sent(len(frame.encode()))

    async def _reject(self, faults: tuple[FaultName, ...]) -> bool:
        """Reject a request if one of its faults demands it; return whether that was so."""
        for fault in faults:
            if fault in _CLOSES:
                await self._connection.close(*_CLOSES[fault])
                return True
            message = _ERRORS.get(fault)
            if fault == "provider_error":
                message = self._state.config.provider_message
            if message is not None:
                await self._send_control("error", message)
                return True
        return False

    async def _send_control(self, kind: str, message: str) -> None:
        await self._connection.send(json.dumps({"type": kind, "payload": {"message": message}}))


def _parse(frame: str | bytes) -> tuple[str, Mapping[str, Any]]:
    """Return type and payload of a request. Raises `InvalidRequestError`.

    Each check has a message of its own: to a client they are the only help.
    """
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
