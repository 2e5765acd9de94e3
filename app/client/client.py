"""Talk to a gateway from a program: say a turn, follow its events, measure it."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from app.audio import AudioFormat, decode_mulaw, wav

Event = Mapping[str, Any]
EventHandler = Callable[[Event], None]


class ClientError(Exception):
    """The conversation cannot go on; the text is one line fit for people."""


@dataclass(slots=True)
class Reply:
    """What one turn brought."""

    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    format: AudioFormat = field(default_factory=AudioFormat)
    first_audio_ms: float | None = None
    """Message sent to first audio received, on this side of the network."""
    metrics: Event = field(default_factory=dict)
    """What the gateway measured: `done.metrics`."""
    errors: list[Event] = field(default_factory=list)

    def wav(self) -> bytes:
        """Return the audio as a PCM16 WAVE file."""
        pcm = bytes(self.audio)
        if self.format.encoding == "mulaw":
            pcm = decode_mulaw(pcm)
        return wav(pcm, AudioFormat(sample_rate_hz=self.format.sample_rate_hz))


class Client:
    """One session with a gateway, a turn at a time."""

    def __init__(self, connection: ClientConnection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._finished_turn = -1
        self._message_count = 0

    async def send_text(self, text: str, handler: EventHandler) -> Reply:
        """Take a typed turn. Raises `TalkError`."""
        return await self._turn({"type": "text", "text": text}, handler)

    async def send_recording(self, recording: bytes, handler: EventHandler) -> Reply:
        """Take a spoken turn: a whole recording, in any format that the gateway decodes.

        Raises `TalkError`.
        """
        return await self._turn({"audio_base64": base64.b64encode(recording).decode()}, handler)

    async def _turn(self, message: Event, handler: EventHandler) -> Reply:
        self._message_count += 1
        message_id = str(self._message_count)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.send(json.dumps({**message, "id": message_id}))
            return await self._reply(message_id, handler)
        except ConnectionClosed as error:
            raise ClientError(_closed(error)) from None
        except binascii.Error:
            raise ClientError("the gateway sent audio that is no base64") from None
        except TimeoutError:
            raise ClientError(f"the gateway was silent for {self._timeout_s:g} s") from None

    async def _reply(self, message_id: str, handler: EventHandler) -> Reply:
        clock = asyncio.get_running_loop().time
        sent_at = clock()
        reply = Reply()
        while True:
            event = await self._next_event()
            if self._is_stale(event):
                continue
            _collect(event, reply)
            if reply.audio and reply.first_audio_ms is None:
                reply.first_audio_ms = (clock() - sent_at) * 1000
            handler(event)
            if _ends_turn(event, message_id):
                self._finished_turn = max(self._finished_turn, _turn_number(event))
                return reply

    async def _next_event(self) -> Event:
        async with asyncio.timeout(self._timeout_s):
            frame = await self._connection.recv()
        if isinstance(frame, bytes):
            return {"type": "audio", "audio": frame}
        try:
            event = json.loads(frame)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise ClientError("the gateway sent something that is no event; is this its address?")
        return event

    def _is_stale(self, event: Event) -> bool:
        return 0 <= _turn_number(event) <= self._finished_turn


@asynccontextmanager
async def connect_client(
    url: str, *, session_id: str | None = None, timeout_s: float = 60.0
) -> AsyncIterator[Client]:
    """Open a session; `timeout_s` bounds connecting and every silence. Raises `TalkError`."""
    name = _public(url)
    try:
        address = _address(url, session_id)
        connection = await connect(
            address, compression=None, max_size=None, proxy=None, open_timeout=timeout_s
        )
    except (InvalidURI, ValueError):
        raise ClientError(f"{name} is not a WebSocket address (ws://… or wss://…)") from None
    except InvalidStatus as error:
        raise ClientError(f"{name} refused: {_refusal(error)}") from None
    except (InvalidHandshake, ConnectionClosed):
        raise ClientError(f"{name} does not speak WebSocket") from None
    except TimeoutError:
        raise ClientError(f"{name} did not answer within {timeout_s:g} s") from None
    except OSError as error:
        raise ClientError(f"cannot reach {name}: {_reason(error)}") from None
    try:
        yield Client(connection, timeout_s)
    finally:
        await connection.close()


def _address(url: str, session_id: str | None) -> str:
    if session_id is None:
        return url
    parts = urlsplit(url)
    path = f"{parts.path.rstrip('/')}/{quote(session_id, safe='')}/"
    return urlunsplit(parts._replace(path=path))


def _public(url: str) -> str:
    """Leave out what may be secret: the query may hold a token, and the host a password."""
    scheme, mark, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _refusal(error: InvalidStatus) -> str:
    status = error.response.status_code
    if b"invalid-session-id" in (error.response.body or b""):
        return "a session's name has 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : @ -"
    if status in (403, 404):
        return f"HTTP {status}; the path of a gateway is /ws/agent/"
    return f"HTTP {status}"


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "nothing listens there (is `nabra serve` running?)"
    return error.strerror or str(error)


def _closed(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "the connection to the gateway broke"
    reason = f", {error.rcvd.reason}" if error.rcvd.reason else ""
    return f"the gateway closed the connection ({error.rcvd.code}{reason})"


def _collect(event: Event, reply: Reply) -> None:
    match event:
        case {"type": "token", "content": str(content)}:
            reply.text += content
        case {"type": "agent_response", "text": str(text)}:
            reply.text = text
        case {"type": "tts_start"}:
            reply.format = _format(event)
        case {"type": "tts_chunk", "audio_base64": str(audio)}:
            reply.audio += base64.b64decode(audio)
        case {"type": "audio", "audio": bytes(audio)}:
            reply.audio += audio
        case {"type": "error"}:
            reply.errors.append(event)
        case {"type": "done", "metrics": dict(metrics)}:
            reply.metrics = metrics


def _format(event: Event) -> AudioFormat:
    encoding, rate_hz = event.get("encoding", "pcm_s16le"), event.get("sample_rate", 16_000)
    if encoding not in ("pcm_s16le", "mulaw") or not isinstance(rate_hz, int):
        raise ClientError(f"the gateway speaks {encoding} at {rate_hz} Hz, which is unknown here")
    return AudioFormat(encoding, rate_hz)


def _ends_turn(event: Event, message_id: str) -> bool:
    """Tell whether the turn is over: done, interrupted, or refused before it began."""
    if event.get("type") == "error":
        return event.get("in_reply_to") == message_id and "turn" not in event
    return event.get("type") in ("done", "interrupted")


def _turn_number(event: Event) -> int:
    turn = event.get("turn")
    return turn if isinstance(turn, int) else -1
